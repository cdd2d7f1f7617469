// A checkpoint becomes what its run would have written there: compared with what runs that end at that step write themselves.
import { type Gpu, openGpu } from '@lapidary/gpu';
import {
  createMemoryStore,
  exportCheckpoint,
  ExportError,
  type FileStore,
  listCheckpoints,
  ResumeMismatchError,
  resolveTrainConfig,
  runTraining,
  type TrainConfig,
} from '@lapidary/trainer';
import { bufferSource, type ByteSource, gemmaWeightLoader } from '@lapidary/weights';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { chatModelSources } from './support/fixture-sources.js';

const rows = Array.from({ length: 8 }, (_, i) => ({ prompt: `The lamp ${i}`, completion: ` by the river ${i}` }));

let sources: readonly ByteSource[];
let gpu: Gpu;
beforeAll(async () => {
  sources = await chatModelSources();
  gpu = await openGpu();
});
afterAll(() => gpu.destroy());

const loader = (from = sources) => ({ ...gemmaWeightLoader({ from }), description: 'tiny', baseModel: 'owner/tiny' });

const config = (over: Partial<TrainConfig>) =>
  resolveTrainConfig({
    weightLoader: loader(),
    data: { source: rows },
    evalFraction: 0,
    maxLength: 48,
    batchSize: 2,
    sampleCount: 0,
    saveEvery: 1,
    keep: 9,
    schedule: { type: 'constant', warmupSteps: 0 },
    outDir: 'memory',
    ...over,
  });

async function trained(over: Partial<TrainConfig>): Promise<FileStore> {
  const store = createMemoryStore();
  await runTraining(config(over), { store, gpu });
  return store;
}

/** What leaves a run, by name. */
async function exported(store: FileStore): Promise<Map<string, Uint8Array>> {
  const names = [
    'adapter_config.json',
    'adapter_model.safetensors',
    'config.json',
    'model.safetensors',
    'tokenizer.json',
  ];
  const files = new Map<string, Uint8Array>();
  for (const { name } of await store.list()) if (names.includes(name)) files.set(name, await store.read(name));
  return files;
}

it.each([
  ['an adapter', {}],
  ['an adapter of some linears, named by a RegExp', { lora: { rank: 2, targets: /layers\.[0-2]\.attn\.[qv]Proj/ } }],
  ['an adapter of which a half stays as it began', { freeze: ['**.lora.a'] }],
  ['a DoRA with ranks of some linears', { lora: { dora: true, rankPattern: { kProj: 2, 'layers.0.mlp.*': 5 } } }],
  ['a DoRA of which the lengths stay', { lora: { dora: true }, freeze: ['**.lora.magnitude'] }],
  [
    'an adapter with modules that are trained whole, a part of one of them frozen',
    { lora: { modulesToSave: ['embedTokens', '**Norm'] }, freeze: ['layers.1.inputNorm.weight'] },
  ],
  ['the average of an adapter with a table of words', { emaDecay: 0.9, lora: { modulesToSave: ['embedTokens'] } }],
  ['the average of an adapter', { emaDecay: 0.9, lora: { rslora: true, alpha: 4 } }],
  ['the whole model', { lora: null }],
  ['a model of which a part was trained', { lora: null, trainable: [/layers\.1\..*/, 'finalNorm.weight'] }],
  ['another optimiser', { optimizer: { type: 'adafactor' } }],
] as const)('%s: byte for byte what a run of that length writes', async (_, over) => {
  const long = await trained({ ...over, steps: 3 });
  for (const step of [2, 3]) {
    const out = createMemoryStore();
    const { files, notices, step: of } = await exportCheckpoint({ run: long, out, step, openBase: () => loader() });
    expect(of).toBe(step);
    expect(notices).toEqual([]);
    const expected = await exported(step === 3 ? long : await trained({ ...over, steps: step }));
    expect([...expected.keys()].sort()).toEqual(files.filter((name) => expected.has(name)).sort());
    expect(await exported(out)).toEqual(expected);
  }
});

it('the newest checkpoint where none is named; another base, or none, is refused by name', async () => {
  const run = await trained({ steps: 2 });
  const out = createMemoryStore();
  expect(await exportCheckpoint({ run, out, openBase: () => loader() })).toMatchObject({ step: 2 });
  // Never over something that is there.
  await expect(exportCheckpoint({ run, out, openBase: () => loader() })).rejects.toThrow(
    /adapter_model\.safetensors already/,
  );

  const fresh = () => ({ run, out: createMemoryStore() });
  await expect(exportCheckpoint({ ...fresh(), step: 7, openBase: () => loader() })).rejects.toThrow(
    /no checkpoint of step 7 .* those of steps 1, 2/,
  );
  await expect(exportCheckpoint({ ...fresh(), run: createMemoryStore(), openBase: () => loader() })).rejects.toThrow(
    /no run\.json .* no folder of a run/,
  );
  const other = await Promise.all(
    sources.map(async (source) => {
      if (source.name !== 'config.json') return source;
      const json = JSON.parse(new TextDecoder().decode(await source.read(0, source.size))) as object;
      return bufferSource('config.json', new TextEncoder().encode(JSON.stringify({ ...json, sliding_window: 3 })));
    }),
  );
  await expect(exportCheckpoint({ ...fresh(), openBase: () => loader(other) })).rejects.toThrow(ResumeMismatchError);
});

it('a base with other weights is refused where a part of it would be in the model', async () => {
  const other = await Promise.all(
    sources.map(async (source) => {
      if (source.name !== 'model.safetensors') return source;
      const bytes = (await source.read(0, source.size)).slice();
      bytes[bytes.length - 4]! ^= 1;
      return bufferSource(source.name, bytes);
    }),
  );
  const openBase = () => loader(other);
  const part = await trained({ lora: null, trainable: ['layers.1.**'], steps: 1 });
  await expect(exportCheckpoint({ run: part, out: createMemoryStore(), openBase })).rejects.toThrow(/weights: saved/);
});

it('a damaged checkpoint is passed over with a notice, or refused where it was asked for', async () => {
  const run = await trained({ steps: 2 });
  const [tensors] = (await run.list('checkpoints/step-00000002')).filter(({ name }) => name.endsWith('.safetensors'));
  await run.write(tensors!.name, (await run.read(tensors!.name)).slice(0, -1));
  const found = await exportCheckpoint({ run, out: createMemoryStore(), openBase: () => loader() });
  expect(found.step).toBe(1);
  expect(found.notices.join()).toMatch(/step-00000002\..* passed over/);
  const asked = exportCheckpoint({ run, out: createMemoryStore(), step: 2, openBase: () => loader() });
  await expect(asked).rejects.toThrow(ExportError);
  expect(await listCheckpoints(run)).toEqual([2, 1]);
});
