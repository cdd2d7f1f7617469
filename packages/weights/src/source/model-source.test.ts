import { expect, it } from 'vitest';
import { chatModelSources } from '../../../../test/support/fixture-sources.js';
import { WeightSourceError } from '../errors.js';
import { modelWeightLoader } from '../loader/model-weight-loader.js';
import { bufferSource } from './byte-source.js';
import { openModelSource } from './model-source.js';

it('of several files, as of a folder, the safetensors are the model', async () => {
  const from = [bufferSource('gemma-2b.gguf', new Uint8Array(8)), ...(await chatModelSources())];
  const weights = await modelWeightLoader({ from }).open();
  expect(weights.format).toBe('safetensors');
});

it('does not choose between two files of one name', async () => {
  const from = [
    bufferSource('a/model.safetensors', new Uint8Array(8)),
    bufferSource('b/model.safetensors', new Uint8Array(8)),
  ];
  await expect(openModelSource(from)).rejects.toThrow(WeightSourceError);
  await expect(openModelSource(from)).rejects.toThrow(/^model\.safetensors.*name of two of the files/);
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

it.each(['http://', 'https://', 'https://?x', 'https://a b/model.gguf', 'http://[1/x'])(
  '%s is no address',
  async (address) => {
    await expect(openModelSource(address)).rejects.toThrow(WeightSourceError);
    await expect(openModelSource(address)).rejects.toThrow(/is no address/);
  },
);
