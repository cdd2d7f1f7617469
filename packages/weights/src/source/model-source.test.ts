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
