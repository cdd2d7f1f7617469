import { expect, test } from 'vitest';
import { WeightFileError, WeightNamesError, WeightSourceError } from '../errors.js';
import { withoutSecrets } from './secrets.js';

test.each([
  ['https://a.com/m.gguf?X-Amz-Signature=abc&X-Amz-Expires=9', 'https://a.com/m.gguf?…'],
  ['https://a.com/m.gguf#access_token=abc', 'https://a.com/m.gguf?…'],
  ['https://user:pass@a.com/m.gguf', 'https://a.com/m.gguf'],
  ['https://user:p@ss@a.com:8080/m.gguf?t=1 is gone', 'https://a.com:8080/m.gguf?… is gone'],
  ['https://a.com/rows.jsonl?…:12: bad, https://a.com?x=1', 'https://a.com/rows.jsonl?…:12: bad, https://a.com?…'],
  ['https://hf_abcdefghijklmnop@huggingface.co/a/b', 'https://huggingface.co/a/b'],
  ['ssh://git:secret@host/x and HTTPS://A.B/C?D', 'ssh://host/x and HTTPS://A.B/C?…'],
  ['asked for "https://a.com/x?sig=1" twice', 'asked for "https://a.com/x?…" twice'],
  ['token hf_abcdefghijklmnopqrst was refused', 'token hf_… was refused'],
  ['Authorization: Bearer abcdefghijkl', 'Authorization: Bearer …'],
])('%s', (text, shown) => expect(withoutSecrets(text)).toBe(shown));

test.each([
  'google/gemma-3-270m/model.gguf',
  '/home/me@work/what?/rows.jsonl',
  'https://huggingface.co/google/gemma-3-270m/resolve/main/config.json',
  'a row is {"prompt": "…"}; is it? me@example.com',
  'hf_hub, Basic rules',
  '',
])('nothing is secret in: %s', (text) => expect(withoutSecrets(text)).toBe(text));

test('errors say where without it', () => {
  const url = 'https://user:pass@a.com/m.gguf?sig=abc';
  for (const error of [
    new WeightFileError({ file: url, tensor: 't', offset: 3 }, `of ${url}`),
    new WeightSourceError(url, `could not be fetched: ${url}`),
    new WeightNamesError(url, 'x', {}),
  ]) {
    expect(`${error.message} ${JSON.stringify(error)}`).not.toMatch(/pass|sig|abc/);
    expect(error.message).toMatch(/^https:\/\/a\.com\/m\.gguf\?…[:,]/);
  }
});
