import { expect, it } from 'vitest';
import { chatModelSources } from '../../../../test/support/fixture-sources.js';
import { WeightFileError, WeightSourceError } from '../errors.js';
import { modelWeightLoader } from '../loader/model-weight-loader.js';
import { bufferSource, type ByteSource } from './byte-source.js';
import { openModelSource } from './model-source.js';

it('of several files, as of a folder, the safetensors are the model', async () => {
  const from = [bufferSource('gemma-2b.gguf', new Uint8Array(8)), ...(await chatModelSources())];
  const weights = await modelWeightLoader({ from }).open();
  expect(weights.format).toBe('safetensors');
});

it('reads no text that is no UTF-8', async () => {
  const utf16 = Uint8Array.from([0xff, 0xfe, 0x7b, 0, 0x7d, 0]);
  const source = await openModelSource([bufferSource('chat_template.jinja', utf16)]);
  await expect(source.readText('chat_template.jinja')).rejects.toBeInstanceOf(WeightFileError);
  await expect(source.readText('chat_template.jinja')).rejects.toThrow(/^chat_template\.jinja: is no UTF-8 text/);
});

it('does not choose between two files of one name', async () => {
  const from = [
    bufferSource('a/model.safetensors', new Uint8Array(8)),
    bufferSource('b/model.safetensors', new Uint8Array(8)),
  ];
  await expect(openModelSource(from)).rejects.toThrow(WeightSourceError);
  await expect(openModelSource(from)).rejects.toThrow(/^model\.safetensors.*name of two of the files/);
});

it('tells files of one name apart by their folders, where one is picked whole', async () => {
  const file = (path: string) => {
    const name = path.slice(path.lastIndexOf('/') + 1);
    return Object.defineProperty(new File([path], name), 'webkitRelativePath', { value: path });
  };
  const picked = ['config.json', '2_Dense/config.json', 'additional_chat_templates/tool_use.jinja'];
  for (const from of [
    picked.map((path) => file(`any folder/${path}`)),
    picked.map((path) => bufferSource(`/home/me/any folder/${path}`, new TextEncoder().encode(`any folder/${path}`))),
  ]) {
    const source = await openModelSource(from);
    expect(source.files).toEqual(picked);
    for (const path of picked) expect(await source.readText(path)).toBe(`any folder/${path}`);
    expect(await source.readText('3_Dense/config.json')).toBeUndefined();
  }
});

it('closes every source, also after one that fails, and tells what went wrong first', async () => {
  const closed: string[] = [];
  const failing = (source: ByteSource): ByteSource => ({
    ...source,
    async close() {
      closed.push(source.name);
      throw new Error(`${source.name} stays open`);
    },
  });
  const files = (await chatModelSources()).map(failing);
  const names = files.map(({ name }) => name);
  const tokenizer = failing(bufferSource('tokenizer.json', new Uint8Array()));
  const weights = await modelWeightLoader({ from: files, tokenizer }).open();
  expect(closed).toEqual([]);
  await expect(weights.close()).rejects.toThrow(`${names[0]} stays open`);
  expect(closed).toEqual([...names, 'tokenizer.json']);

  closed.length = 0;
  const broken = failing(bufferSource('model.gguf', new Uint8Array(8)));
  await expect(modelWeightLoader({ from: broken, tokenizer }).open()).rejects.toBeInstanceOf(WeightFileError);
  expect(closed).toEqual(['model.gguf', 'tokenizer.json']);
  closed.length = 0;
  await expect(modelWeightLoader({ from: broken, tokenizer: [] }).open()).rejects.toThrow(/list of files is empty/);
  expect(closed).toEqual(['model.gguf']);
});

it.each([
  ['https://huggingface.co/google/gemma-3-270m', 'main', 'config.json'],
  ['https://huggingface.co/google/gemma-3-270m/tree/v1.0', 'v1.0', 'config.json'],
  ['https://huggingface.co/google/gemma-3-270m/blob/main/sub/gemma.gguf', 'main', 'sub/gemma.gguf'],
])('takes the address of a page of the hub for the model on it: %s', async (address, revision, file) => {
  const asked: string[] = [];
  const fetch = async (url: string | URL | Request) => {
    asked.push(String(url));
    return new Response('none', { status: 404 });
  };
  const source = await openModelSource(address, { fetch, retries: 0, cache: false });
  expect(source.name).toBe(file.endsWith('.gguf') ? `google/gemma-3-270m/${file}` : 'google/gemma-3-270m');
  expect(source.main).toBe(file.endsWith('.gguf') ? file : undefined);
  await source.open(file);
  expect(asked).toContain(`https://huggingface.co/google/gemma-3-270m/resolve/${revision}/${file}`);
});

it.each(['http://', 'https://', 'https://?x', 'http://[1/x'])('%s is no address', async (address) => {
  await expect(openModelSource(address)).rejects.toThrow(WeightSourceError);
  await expect(openModelSource(address)).rejects.toThrow(/is no address/);
});

it.each(['https://me:SECRET@a.com/model.gguf', 'http://SECRET@a.com/folder', 'https://:SECRET@a.com/m.gguf?x=1'])(
  'an address with a user or a password in it is refused before anything is asked: %s',
  async (address) => {
    const fetch = () => Promise.reject(new Error('asked'));
    const error = await openModelSource(address, { fetch, cache: false }).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(WeightSourceError);
    expect((error as Error).message).toMatch(/user or a password/);
    expect((error as Error).message).not.toContain('SECRET');
  },
);

it.each(['SECRET\nx', 'SECRET x', 'SECRET…', ' SECRET'])(
  'a token that can be none is refused, and not told: %j',
  async (token) => {
    const fetch = () => Promise.reject(new Error('asked'));
    const refused = openModelSource('google/gemma-3-270m', { token, fetch, cache: false, retries: 0 });
    const error = await refused.catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(WeightSourceError);
    expect((error as Error).message).toMatch(/access token is none.*HF_TOKEN/);
    expect(`${(error as Error).message} ${(error as Error).stack}`).not.toContain('SECRET');
  },
);

it('what failed below is told without secrets too', async () => {
  const fetch = () =>
    Promise.reject(
      Object.assign(new TypeError('no URL: https://a.com/x?sig=SECRET'), { input: 'https://a.com/x?sig=SECRET' }),
    );
  const source = await openModelSource('https://a.com/m.gguf?sig=SECRET', { fetch, cache: false, retries: 0 });
  const error = (await source.open('m.gguf').catch((reason: unknown) => reason)) as WeightSourceError;
  expect(error.cause).toBeInstanceOf(Error);
  const cause = error.cause as Error;
  expect(`${error.stack} ${cause.stack} ${JSON.stringify(cause)}`).not.toContain('SECRET');
});

it.each(['%E0%A4%A.gguf', 'a%20b.gguf'])('a file whose name in an address is %s is asked for', async (name) => {
  const asked: string[] = [];
  const fetch = async (url: string | URL | Request) => {
    asked.push(String(url));
    return new Response('none', { status: 404 });
  };
  const source = await openModelSource(`https://a.com/${name}?t=1`, { fetch, cache: false, retries: 0 });
  expect(await source.open(source.main!)).toBeUndefined();
  expect(new Set(asked)).toEqual(new Set([`https://a.com/${name}?t=1`]));
});
