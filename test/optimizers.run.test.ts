// Whole runs with each optimiser, averages and groups: they learn, resume bit for bit, and take what was planned.
import { openGpu, type Gpu } from '@lapidary/gpu';
import {
  createMemoryStore,
  loadLatestCheckpoint,
  readText,
  resolveTrainConfig,
  runTraining,
  TrainingInterruptedError,
  type FileStore,
  type StepRecord,
  type TrainConfig,
} from '@lapidary/trainer';
import { bufferSource, gemmaWeightLoader, openSafetensors } from '@lapidary/weights';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { chatModelSources } from './support/fixture-sources.js';

const rows = Array.from({ length: 12 }, (_, i) => ({ prompt: `The lamp ${i}`, completion: ` by the river ${i % 3}` }));

async function config(over: Partial<TrainConfig> = {}) {
  return resolveTrainConfig({
    weightLoader: gemmaWeightLoader({ from: await chatModelSources() }),
    data: { source: rows },
    evalFraction: 0.2,
    maxLength: 48,
    batchSize: 2,
    steps: 6,
    lora: { rank: 4, alpha: 8, dropout: 0.1 },
    schedule: { type: 'constant', warmupSteps: 0 },
    evalEvery: 3,
    saveEvery: 2,
    sampleCount: 0,
    outDir: 'memory',
    ...over,
  });
}

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterEach(() => expect(gpu.counters.bytes).toBe(0));
afterAll(() => gpu.destroy());

const lossesOf = async (store: FileStore) =>
  (await readText(store, 'metrics.jsonl'))
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as StepRecord).loss);

const adapterOf = (store: FileStore) => store.read('adapter_model.safetensors');

async function tensorsOf(store: FileStore): Promise<Map<string, Float32Array>> {
  const { tensors } = await openSafetensors(bufferSource('adapter', await adapterOf(store)));
  const found = new Map<string, Float32Array>();
  for (const [name, { source, offset, byteLength }] of tensors)
    found.set(name, new Float32Array((await source.read(offset, byteLength)).slice().buffer));
  return found;
}

/** A run that is stopped after its second step, and goes on to its end. */
async function inTwoParts(over: Partial<TrainConfig>): Promise<FileStore> {
  const store = createMemoryStore();
  const stop = new AbortController();
  const logger = { onStep: ({ step }: StepRecord) => void (step === 2 && stop.abort()) };
  await expect(runTraining(await config(over), { store, gpu, logger, signal: stop.signal })).rejects.toThrow(
    TrainingInterruptedError,
  );
  await runTraining(await config({ ...over, resume: true }), { store, gpu });
  return store;
}

it.each([
  ['sgd', { learningRate: 0.5, momentum: 0.9, nesterov: true, weightDecay: 1e-4 }],
  ['lion', { learningRate: 1e-3, weightDecay: 1e-4 }],
  ['adafactor', { learningRate: 5e-3 }],
  ['adamw', { learningRate: 5e-3 }],
] as const)('%s learns, takes what was planned, and resumes bit for bit', async (type, settings) => {
  const over = { optimizer: { type, ...settings }, emaDecay: 0.5, steps: 6 } as Partial<TrainConfig>;
  const whole = createMemoryStore();
  const summary = await runTraining(await config(over), { store: whole, gpu });
  expect(Math.abs(summary.peakBytesAllocated / summary.peakBytesPlanned - 1)).toBeLessThan(0.02);
  const losses = await lossesOf(whole);
  expect(losses.at(-1)!).toBeLessThan(losses[0]!);
  const parts = await inTwoParts(over);
  expect(await lossesOf(parts)).toEqual(losses);
  expect(await adapterOf(parts)).toEqual(await adapterOf(whole));
});

it('what is exported is the average of what was trained, by the formula', async () => {
  const decay = 0.75;
  const over = { optimizer: { learningRate: 5e-3 }, saveEvery: 1, keep: 10, steps: 3 };
  const plain = createMemoryStore();
  await runTraining(await config(over), { store: plain, gpu });
  const averaged = createMemoryStore();
  await runTraining(await config({ ...over, emaDecay: decay }), { store: averaged, gpu });
  // The steps are the same with averages and without.
  expect(await lossesOf(averaged)).toEqual(await lossesOf(plain));
  const last = await loadLatestCheckpoint(averaged);
  const path = 'layers.0.attn.qProj.lora.b';
  const valuesOf = async (name: string) => new Float32Array((await last!.tensors.get(name)!.read()).slice().buffer);
  expect(await valuesOf(`${path}/average`)).not.toEqual(await valuesOf(path));
  // B begins at zero: after steps p₁, p₂, p₃ the average is (1 − d)(d²p₁ + d p₂ + p₃).
  const steps = await Promise.all(
    [1, 2, 3].map(async (steps) => {
      const store = createMemoryStore();
      await runTraining(await config({ ...over, steps }), { store, gpu });
      const found = await loadLatestCheckpoint(store);
      return new Float32Array((await found!.tensors.get(path)!.read()).slice().buffer);
    }),
  );
  const expected = steps[0]!.map(
    (_, i) => (1 - decay) * (decay ** 2 * steps[0]![i]! + decay * steps[1]![i]! + steps[2]![i]!),
  );
  const found = await valuesOf(`${path}/average`);
  for (const [i, value] of expected.entries()) expect(Math.abs(found[i]! - value)).toBeLessThan(1e-8);
  const exported = [...(await tensorsOf(averaged))].find(([name]) =>
    /layers\.0\.self_attn\.q_proj\.lora_B/.test(name),
  )!;
  expect(exported[1]).toEqual(found);
});

it('parameters of a group learn at its rate: 0 leaves them as they began', async () => {
  const groups = [{ paths: ['layers.0.**'], learningRateScale: 0 }];
  const store = createMemoryStore();
  await runTraining(await config({ paramGroups: groups, optimizer: { learningRate: 5e-3 }, steps: 2 }), { store, gpu });
  const moved = [...(await tensorsOf(store))].filter(([name]) => name.includes('lora_B'));
  const isZero = (values: Float32Array) => values.every((value) => value === 0);
  for (const [name, values] of moved) expect(isZero(values), name).toBe(name.includes('.layers.0.'));
  await expect(
    runTraining(await config({ paramGroups: [{ paths: ['layer.0.**'] }] }), { store: createMemoryStore(), gpu }),
  ).rejects.toThrow(/paramGroups\.0\.paths: found 'layer\.0\.\*\*', which matches nothing/);
});

it('smoothed labels change what is learned from, not what is measured', async () => {
  const [plain, smooth] = [createMemoryStore(), createMemoryStore()];
  const over = { optimizer: { learningRate: 1e-9 }, steps: 1, lora: { rank: 4, alpha: 8 } };
  const [a, b] = [
    await runTraining(await config(over), { store: plain, gpu }),
    await runTraining(await config({ ...over, objective: { labelSmoothing: 0.2 } }), { store: smooth, gpu }),
  ];
  expect(b.baseEvalLoss).toBe(a.baseEvalLoss);
  expect((await lossesOf(smooth))[0]).not.toBe((await lossesOf(plain))[0]);
});
