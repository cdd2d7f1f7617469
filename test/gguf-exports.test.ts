// Models and adapters for llama.cpp: what gguf-py says of the files that we write (test/fixtures/gguf-exports).
import { createMemoryStore, exportAdapter } from '@lapidary/trainer';
import { AdapterError, bufferSource, modelWeightLoader } from '@lapidary/weights';
import { describe, expect, it } from 'vitest';
import { adapterSources, chatModelSources } from './support/fixture-sources.js';
import { ggufCases, ggufLoraFile, ggufModelFile } from './support/gguf-cases.js';
import { fixtureJson } from './support/safetensors-fixture.js';

interface Judged {
  readonly files: Readonly<Record<string, string>>;
  readonly tensors: Readonly<Record<string, number>>;
}

const hex = (bytes: ArrayBuffer) => Array.from(new Uint8Array(bytes), (b) => b.toString(16).padStart(2, '0')).join('');
const sha256 = async (bytes: Uint8Array) => hex(await crypto.subtle.digest('SHA-256', bytes.slice()));

describe.each(ggufCases.map((each) => [each.name, each] as const))('%s', (name, ggufCase) => {
  it('is what gguf-py was given, which has the values of PEFT’s merged model', async () => {
    const judged = await fixtureJson<Judged>(`gguf-exports/${name}.json`);
    for (const quant of ['f32', 'f16', 'bf16', 'q8_0', 'q4_0'] as const) {
      const { name: file, bytes } = await ggufModelFile(ggufCase, quant);
      expect(await sha256(bytes), file).toBe(judged.files[file]);
      // Values that lie between two of a type may be rounded to either.
      expect(judged.tensors[file]).toBeLessThan(quant === 'f32' ? 1e-6 : 1e-4);
    }
  });

  it('as an adapter, or refused by name', async () => {
    const judged = await fixtureJson<Judged>(`gguf-exports/${name}.json`);
    const writing = ggufLoraFile(ggufCase);
    if (!ggufCase.isLora) return expect(writing).rejects.toThrow(/it is a DoRA.*no place/);
    const { name: file, bytes } = await writing;
    expect(await sha256(bytes), file).toBe(judged.files[file]);
    expect(judged.tensors[file]).toBeLessThan(1e-6);
  });
});

it('reads again as the model that it was', async () => {
  const { bytes, notices } = await ggufModelFile(ggufCases[2]!, 'q8_0');
  expect(notices).toEqual([
    expect.stringMatching(/^37 tensors have rows that are no whole blocks of q8_0 and are f16/),
  ]);
  const opened = await modelWeightLoader({ from: bufferSource('m.gguf', bytes) }).open();
  expect(opened.config).toMatchObject({
    family: 'gemma3',
    queryPreAttnScalar: 16,
    ropeScalingFactor: 8,
    vocabSize: 600,
  });
  expect(opened.entries.size).toBe(opened.model.params.length);
  expect(opened.metadata['general.file_type']).toBe(7);
  await opened.close();
});

it.each([
  ['gemma3-tiny', 'patterns', /queryPreAttnScalar.*9.*llama\.cpp takes it to be 16/],
  ['gemma2-tiny', 'dora', /queryPreAttnScalar/],
  ['gemma1-tiny', 'all-linear', /99 words, too few for <0x/],
  ['paligemma2-tiny', 'lora-projector', /no gguf form of a/],
] as const)('what llama.cpp would compute otherwise is refused: %s', async (model, adapter, message) => {
  const out = createMemoryStore();
  const writing = exportAdapter({
    adapter: await adapterSources(`adapters/${adapter}`),
    base: modelWeightLoader({ from: await chatModelSources(model) }),
    out,
    form: { to: 'gguf', file: 'm.gguf', quant: 'f32' },
  });
  await expect(writing).rejects.toThrow(message);
  expect(await out.list()).toEqual([]);
});

it('linears whose updates llama.cpp leaves out have no place beside a GGUF', async () => {
  const gemma4 = ggufCases.find(({ name }) => name === 'gemma4')!;
  await expect(ggufLoraFile({ ...gemma4, adapter: 'curves/gemma4-tiny/lora/final' })).rejects.toThrow(
    /it adapts perLayerInputs\.perLayerModelProjection, whose updates llama\.cpp leaves out.*merged/,
  );
});

it.each(['norms', 'embedding-tied'])('modules trained whole have no place beside a GGUF: %s', async (adapter) => {
  const out = createMemoryStore();
  const writing = exportAdapter({
    adapter: await adapterSources(`adapters/${adapter}`),
    base: modelWeightLoader({ from: await chatModelSources('gemma2-tiny') }),
    out,
    form: { to: 'gguf-lora', file: 'a.gguf', type: 'f32' },
  });
  await expect(writing).rejects.toThrow(AdapterError);
});
