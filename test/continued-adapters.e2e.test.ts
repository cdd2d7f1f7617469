// Runs that go on from an adapter that PEFT wrote, against PEFT going on from it in PyTorch (test/fixtures/continued).
import { openGpu, type Gpu } from '@lapidary/gpu';
import {
  createMemoryStore,
  exportCheckpoint,
  ResumeMismatchError,
  runTraining,
  type FileStore,
  type TrainConfig,
} from '@lapidary/trainer';
import {
  AdapterError,
  bufferSource,
  dequantise,
  gemmaWeightLoader,
  modelWeightLoader,
  openSafetensors,
  peftAdapterLoader,
  readPeftAdapter,
} from '@lapidary/weights';
import { TextModel } from 'lapidary';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  adapterFiles,
  continuedCases,
  continuedConfig,
  continuedRows,
  continuedSteps,
  exportedCases,
  exportedPrompt,
  type ContinuedCase,
} from './support/continued-cases.js';
import { adapterSources, chatModelSources } from './support/fixture-sources.js';
import { relativeError } from './support/relative-error.js';
import { fixtureBytes, fixtureJson, fixtureTensors } from './support/safetensors-fixture.js';
import { sameBytes } from './support/same-bytes.js';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterAll(() => gpu.destroy());

const names = Object.keys(continuedCases) as ContinuedCase[];
const sourcesOf = (store: FileStore) =>
  Promise.all(adapterFiles.map(async (name) => bufferSource(name, await store.read(name))));

async function train(
  name: ContinuedCase,
  over: Partial<TrainConfig> = {},
  { store = createMemoryStore(), stopAfter = 0 }: { store?: FileStore; stopAfter?: number } = {},
) {
  const steps: { loss: number; gradNorm: number }[] = [];
  const notices: string[] = [];
  const stop = new AbortController();
  const run = runTraining(await continuedConfig(name, over), {
    store,
    gpu,
    signal: stop.signal,
    logger: {
      onNotice: (notice) => void notices.push(notice),
      onStep: ({ step, loss, gradNorm }) => {
        steps.push({ loss, gradNorm });
        if (step === stopAfter) stop.abort();
      },
    },
  });
  if (stopAfter > 0) await run.catch(() => undefined);
  else await run;
  return { store, steps, notices };
}

/** Each case trained once, as it is. */
const trained = new Map<ContinuedCase, ReturnType<typeof train>>();
const trainOnce = (name: ContinuedCase): ReturnType<typeof train> => {
  const before = trained.get(name) ?? train(name);
  trained.set(name, before);
  return before;
};

it('sees the rows that PyTorch was given', async () => {
  expect(await continuedRows()).toEqual(await fixtureJson('continued/rows.json'));
});

it.each(names)('tracks PEFT: %s', async (name) => {
  const { loss, gradNorm } = await fixtureJson<{ loss: number[]; gradNorm: number[] }>(`continued/${name}.json`);
  const { steps, store } = await trainOnce(name);
  expect(steps).toHaveLength(continuedSteps);
  steps.forEach((step, i) => {
    expect(Math.abs(step.loss / loss[i]! - 1), `loss of step ${i}`).toBeLessThan(1e-3);
    expect(Math.abs(step.gradNorm / gradNorm[i]! - 1), `gradient norm of step ${i}`).toBeLessThan(5e-3);
  });
  // What leaves is like what came: the same modules, ranks and scales, other values.
  const { model } = await gemmaWeightLoader({ from: await chatModelSources() }).open();
  const before = await readPeftAdapter(await adapterSources(continuedCases[name]), { model });
  const after = await readPeftAdapter(await sourcesOf(store), { model });
  const described = ({ updates, rslora, dropout, targets, params, splitsEmbedding }: typeof before) => ({
    updates: new Map([...updates].sort(([a], [b]) => (a < b ? -1 : 1))),
    params: [...params.keys()].sort(),
    rslora,
    dropout,
    targets,
    splitsEmbedding,
  });
  expect(described(after)).toEqual(described(before));
  expect([...after.tensors.keys()].sort()).toEqual([...before.tensors.keys()].sort());
  for (const [path, values] of after.tensors) expect(values, path).not.toEqual(before.tensors.get(path));
});

describe.each(exportedCases)('%s, as we leave it, PEFT loads again', (name) => {
  const folder = `continued/${name}/exported`;

  it('with the logits that we have', async () => {
    const { input_ids: inputs } = await fixtureJson<{ input_ids: number[][] }>(`${folder}/input.json`);
    const weightLoader = gemmaWeightLoader({ from: await chatModelSources() });
    const model = await TextModel.open(weightLoader, { gpu, adapter: await adapterSources(folder) });
    try {
      expect(model.tokenizer.encode(exportedPrompt)).toEqual(inputs[0]);
      const logits = await model.nextLogits(exportedPrompt);
      const peft = (await fixtureTensors(`${folder}/logits.safetensors`)).get('logits')!;
      expect(relativeError(logits, peft.data.slice(-logits.length))).toBeLessThan(1e-5);
    } finally {
      model.destroy();
    }
  });

  it('as runs leave it still', async () => {
    const { store } = await trainOnce(name);
    const { tensors: now } = await openSafetensors(bufferSource('now', await store.read(adapterFiles[1])));
    const { tensors: then } = await openSafetensors(
      bufferSource('then', await fixtureBytes(`${folder}/${adapterFiles[1]}`)),
    );
    expect(await store.read(adapterFiles[0])).toEqual(await fixtureBytes(`${folder}/${adapterFiles[0]}`));
    const described = (tensors: typeof now) =>
      [...tensors.values()].map(({ name, shape, type }) => [name, shape, type]);
    expect(described(now)).toEqual(described(then));
    for (const [tensor, { source, offset, byteLength }] of now) {
      const before = then.get(tensor)!;
      const values = dequantise('f32', await source.read(offset, byteLength));
      const expected = dequantise('f32', await before.source.read(before.offset, before.byteLength));
      expect(relativeError(values, expected), tensor).toBeLessThan(2e-2);
    }
  });
});

it('goes on where it was stopped, and its checkpoints leave as it would have ended there', async () => {
  const short = { steps: 6, saveEvery: 3, batchSize: 1 };
  const whole = await train('dora', short);
  const { store } = await train('dora', short, { stopAfter: 3 });
  await expect(train('lora', { ...short, resume: true }, { store })).rejects.toThrow(ResumeMismatchError);
  await expect(train('lora', { ...short, resume: true }, { store })).rejects.toThrow(/adapter: saved "\w{16}", now/);
  await expect(train('dora', { ...short, adapter: null, resume: true }, { store })).rejects.toThrow(/adapter: saved/);
  await train('dora', { ...short, resume: true }, { store });
  const file = 'adapter_model.safetensors';
  expect(sameBytes(await store.read(file), await whole.store.read(file))).toBe(true);

  const openBase = () => ({ open: () => base.open() });
  const base = gemmaWeightLoader({ from: await chatModelSources() });
  const begun = peftAdapterLoader({ from: await adapterSources(continuedCases.dora) });
  const out = createMemoryStore();
  await exportCheckpoint({ run: store, out, step: 6, openBase, openAdapter: () => begun });
  expect(sameBytes(await out.read(file), await store.read(file))).toBe(true);
  const other = peftAdapterLoader({ from: await adapterSources(continuedCases.lora) });
  const asOther = exportCheckpoint({
    run: store,
    out: createMemoryStore(),
    openBase,
    openAdapter: () => other,
  });
  await expect(asOther).rejects.toThrow(/adapter: saved/);
});

it('keeps what is frozen as the adapter has it', async () => {
  const { store } = await train('saved', { steps: 1, freeze: ['embedTokens.*', 'layers.0.**'] });
  const { model } = await gemmaWeightLoader({ from: await chatModelSources() }).open();
  const before = await readPeftAdapter(await adapterSources(continuedCases.saved), { model });
  const after = await readPeftAdapter(await sourcesOf(store), { model });
  expect(after.params.get('embedTokens.weight')).toEqual(before.params.get('embedTokens.weight'));
  expect(after.params.get('finalNorm.weight')).not.toEqual(before.params.get('finalNorm.weight'));
  const a = 'layers.0.attn.qProj.lora.a';
  expect(after.tensors.get(a)).toEqual(before.tensors.get(a));
});

it('goes on from an adapter that a run of ours wrote', async () => {
  const { store, steps } = await train('dora', { steps: 2 });
  const again = peftAdapterLoader({ from: await sourcesOf(store) });
  const { steps: later } = await train('dora', { steps: 1, adapter: again });
  // One epoch of 9 rows is 3 steps: the first rows again, by a model that has learned from them.
  expect(later[0]!.loss).toBeLessThan(steps[0]!.loss);
});

it('refuses an adapter of another model, and tells of another base by name', async () => {
  const small = await train('lora', {
    weightLoader: gemmaWeightLoader({ from: await chatModelSources('gemma3-tiny') }),
    steps: 1,
  });
  expect(small.notices.join()).not.toMatch(/other weights/);
  const other = peftAdapterLoader({ from: await adapterSources('curves/gemma2-tiny/lora/final') });
  await expect(train('lora', { adapter: other })).rejects.toThrow(AdapterError);
  await expect(train('lora', { adapter: other })).rejects.toThrow(/tensor base_model\.model\..*on this model takes/);

  const [config, weights] = await sourcesOf(small.store);
  const text = new TextDecoder().decode(await config!.read(0, config!.size));
  const named = { ...(JSON.parse(text) as object), base_model_name_or_path: 'google/gemma-3-1b-pt' };
  const from = [bufferSource('adapter_config.json', new TextEncoder().encode(JSON.stringify(named))), weights!];
  const base = modelWeightLoader({ from: await chatModelSources() });
  const told = async (baseModel: string) =>
    (await train('lora', { adapter: peftAdapterLoader({ from }), weightLoader: { ...base, baseModel }, steps: 1 }))
      .notices;
  expect(await told('google/gemma-3-1b-it')).toEqual([
    expect.stringMatching(/names google\/gemma-3-1b-pt as its base, and this model is google\/gemma-3-1b-it/),
  ]);
  expect(await told('Google/Gemma-3-1b-PT')).toEqual([]);
});

it.each([
  ['gemma1-tiny', 'adapters/embedding', /were trained apart/],
  ['gemma2-tiny', 'adapters/head', /were trained apart/],
])('refuses what training cannot go on from: %s, %s', async (base, folder, message) => {
  const weightLoader = gemmaWeightLoader({ from: await chatModelSources(base) });
  const adapter = peftAdapterLoader({ from: await adapterSources(folder) });
  await expect(train('lora', { adapter, weightLoader })).rejects.toThrow(message);
});
