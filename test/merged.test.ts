// Adapters merged with their bases: what transformers and PEFT say of the files that we write (test/fixtures/merged).
import { NonFiniteParameterError, createMemoryStore, exportAdapter, ExportError } from '@lapidary/trainer';
import { AdapterError, bufferSource, modelWeightLoader } from '@lapidary/weights';
import { describe, expect, it } from 'vitest';
import { adapterSources, chatModelSources } from './support/fixture-sources.js';
import { mergedCases, mergedFiles } from './support/merged-cases.js';
import { fixtureJson } from './support/safetensors-fixture.js';

interface Judged {
  readonly files: Readonly<Record<string, string>>;
  readonly dtype: string;
  readonly logits: number;
  readonly tensors: number;
  readonly unmerged: number;
}

const hex = (bytes: ArrayBuffer) => Array.from(new Uint8Array(bytes), (b) => b.toString(16).padStart(2, '0')).join('');
const sha256 = async (bytes: Uint8Array) => hex(await crypto.subtle.digest('SHA-256', bytes.slice()));

/** Rounded once, as the bytes are stored. */
const bounds: Readonly<Record<string, { logits: number; tensors: number }>> = {
  float32: { logits: 1e-5, tensors: 1e-6 },
  float16: { logits: 5e-3, tensors: 1e-3 },
  bfloat16: { logits: 3e-2, tensors: 5e-3 },
};

describe.each(mergedCases.map((each) => [each.name, each] as const))('%s', (name, mergedCase) => {
  it('is what transformers was given, which has the logits of base and adapter in PEFT', async () => {
    const judged = await fixtureJson<Judged>(`merged/${name}.json`);
    const files = await mergedFiles(mergedCase);
    for (const [file, hash] of Object.entries(judged.files)) expect(await sha256(files.get(file)!), file).toBe(hash);
    const { logits, tensors } = bounds[judged.dtype]!;
    expect(judged.logits).toBeLessThan(logits);
    expect(judged.tensors).toBeLessThan(tensors);
    expect(judged.unmerged).toBeGreaterThan(0.5);
    for (const file of ['generation_config.json', 'tokenizer.json', 'tokenizer_config.json'])
      expect([...files.keys()]).toContain(file);
  });
});

const base = async (model: string, change = (bytes: Uint8Array) => bytes) =>
  modelWeightLoader({
    from: await Promise.all(
      (await chatModelSources(model)).map(async (source) =>
        source.name === 'model.safetensors'
          ? bufferSource(source.name, change((await source.read(0, source.size)).slice()))
          : source,
      ),
    ),
  });
const merge = async (adapter: string, loader: Awaited<ReturnType<typeof base>>, out = createMemoryStore()) =>
  exportAdapter({
    adapter: await adapterSources(`adapters/${adapter}`),
    base: loader,
    out,
    form: { to: 'merged', shardBytes: 20_000 },
  });

it('opens again, in shards: every tensor is in the one that the index says', async () => {
  const files = await mergedFiles({ name: '', adapter: 'adapters/patterns', model: 'gemma3-tiny', shardBytes: 30_000 });
  const from = [...files].map(([name, bytes]) => bufferSource(name, bytes));
  const opened = await modelWeightLoader({ from }).open();
  expect(opened.entries.size).toBe(opened.model.params.length);
  expect(new Set([...opened.entries.values()].map(({ file }) => file)).size).toBeGreaterThan(5);
  await opened.close();
});

it.each(['embedding', 'embedding-head', 'head'])('refuses two tables where the model has one: %s', async (adapter) => {
  const out = createMemoryStore();
  const merging = merge(adapter, await base(adapter === 'head' ? 'gemma2-tiny' : 'gemma1-tiny'), out);
  await expect(merging).rejects.toThrow(AdapterError);
  await expect(merging).rejects.toThrow(/trained apart/);
  expect(await out.list()).toEqual([]);
});

it('leaves nothing where the base breaks in the middle', async () => {
  const broken = await base('gemma3-tiny', (bytes) => {
    bytes.set([0xff, 0xff, 0xff, 0x7f], bytes.length - 4);
    return bytes;
  });
  const out = createMemoryStore();
  await expect(merge('patterns', broken, out)).rejects.toThrow(NonFiniteParameterError);
  expect(await out.list()).toEqual([]);
});

it.each([
  'model.safetensors',
  'model-00003-of-00004.safetensors',
  'model.safetensors.index.json',
  'adapter_model.safetensors',
])('refuses a folder that holds %s', async (name) => {
  const out = createMemoryStore();
  await out.write(name, 'x');
  const merging = merge('patterns', await base('gemma3-tiny'), out);
  await expect(merging).rejects.toThrow(ExportError);
  await expect(merging).rejects.toThrow(`holds ${name} already`);
  expect(await out.list()).toHaveLength(1);
});

it('refuses an adapter of another model', async () => {
  await expect(merge('patterns', await base('gemma1-tiny'))).rejects.toThrow(AdapterError);
});
