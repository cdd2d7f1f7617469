import { expect, test } from 'vitest';
import { WeightFileError, WeightNamesError, WeightSourceError } from '../errors.js';
import { causeWithoutSecrets, withoutSecrets } from './secrets.js';

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
  ['as hf_jwt_eyJhbGciOi.abc-def and api_org_abcdefghijkl', 'as hf_… and api_org_…'],
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

test('causes are told without it, however deep, and without what else they carry', () => {
  const url = 'https://user:pass@a.com/m.gguf?sig=abc';
  const inner = Object.assign(new TypeError(`no URL: ${url}`), { code: 'ERR_INVALID_URL', input: url });
  const cause = causeWithoutSecrets(new Error(`of ${url}`, { cause: inner }));
  const told = (error: Error): string =>
    `${error.message} ${error.stack} ${JSON.stringify(error)} ${error.cause ? told(error.cause as Error) : ''}`;
  expect(told(cause)).not.toMatch(/pass|sig|abc/);
  expect(cause.cause).toMatchObject({ name: 'TypeError', code: 'ERR_INVALID_URL' });
  expect(causeWithoutSecrets(`text of ${url}`).message).toBe('text of https://a.com/m.gguf?…');
  expect(causeWithoutSecrets(undefined)).toBeInstanceOf(Error);
});
