// Whole runs on texts that belong together: what they learn and tell, memory, resuming, micro-batches.
import { openGpu, type Gpu } from '@lapidary/gpu';
import {
  createMemoryStore,
  inspectData,
  resolveTrainConfig,
  runTraining,
  type EvalRecord,
  type StepRecord,
  type TrainConfig,
} from '@lapidary/trainer';
import { modelWeightLoader } from '@lapidary/weights';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { chatModelSources } from './support/fixture-sources.js';
import { meanFamily } from './support/mean-model.js';
import { sameBytes } from './support/same-bytes.js';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterEach(() => expect(gpu.counters.bytes).toBe(0));
afterAll(() => gpu.destroy());

const things = ['lamp', 'river', 'house', 'garden', 'boat', 'window', 'hill', 'stone', 'bird', 'road', 'table', 'door'];
const rows = things.map((thing, i) => ({
  anchor: `where is the ${thing}`,
  positive: `${['here', 'there', 'by it', 'over the'][i % 4]} ${i} ${thing.toUpperCase()}`,
  ...(i % 3 === 0 && { negative: `nobody knows ${i}` }),
}));

const config = async (over: Partial<TrainConfig> = {}) =>
  resolveTrainConfig({
    weightLoader: modelWeightLoader({ from: await chatModelSources(), families: [meanFamily] }),
    data: { source: rows },
    evalData: { source: rows },
    objective: { type: 'contrastive' },
    maxLength: 48,
    batchSize: 4,
    steps: 6,
    lora: { rank: 4, alpha: 8 },
    optimizer: { learningRate: 5e-3 },
    schedule: { type: 'constant', warmupSteps: 0 },
    evalEvery: 3,
    saveEvery: 2,
    outDir: 'memory',
    ...over,
  });

function recorder() {
  const steps: StepRecord[] = [];
  const evals: EvalRecord[] = [];
  const logger = {
    onStep: (record: StepRecord) => void steps.push(record),
    onEval: (record: EvalRecord) => void evals.push(record),
  };
  return { steps, evals, logger };
}

it.each([
  {},
  { batchSize: 2, gradientAccumulation: 3, lora: { rank: 4, alpha: 8, dropout: 0.1 } },
  { gradientCheckpointing: true, emaDecay: 0.5 },
])('learns, evaluates, keeps to its plan, and resumes bit for bit (%o)', async (over) => {
  const whole = createMemoryStore();
  const { steps, evals, logger } = recorder();
  const summary = await runTraining(await config(over), { store: whole, gpu, logger });
  expect(evals.at(-1)!.loss).toBeLessThan(evals[0]!.loss);
  expect(evals.at(-1)!.metrics!['ndcg@10']).toBeGreaterThan(evals[0]!.metrics!['ndcg@10']!);
  expect(evals.at(-1)!.metrics!['accuracy@1']).toBeGreaterThanOrEqual(evals[0]!.metrics!['accuracy@1']!);
  expect(steps).toHaveLength(6);
  expect(Math.abs(summary.peakBytesAllocated / summary.peakBytesPlanned - 1)).toBeLessThan(0.02);
  const parts = createMemoryStore();
  await runTraining(await config({ ...over, steps: 2 }), { store: parts, gpu });
  await runTraining(await config({ ...over, resume: true }), { store: parts, gpu });
  const adapter = 'adapter_model.safetensors';
  expect(sameBytes((await parts.read(adapter))!, (await whole.read(adapter))!)).toBe(true);
});

it('computes the same step in any number of micro-batches', async () => {
  const run = async (over: Partial<TrainConfig>) => {
    const { steps, evals, logger } = recorder();
    await runTraining(await config({ ...over, objective: { type: 'contrastive', sizes: null } }), {
      store: createMemoryStore(),
      gpu,
      logger,
    });
    return {
      losses: steps.map(({ loss }) => loss),
      norms: steps.map(({ gradNorm }) => gradNorm),
      evals: evals.map(({ loss }) => loss),
    };
  };
  const whole = await run({ batchSize: 6 });
  for (const [batchSize, gradientAccumulation] of [
    [3, 2],
    [1, 6],
  ] as const) {
    const parts = await run({ batchSize, gradientAccumulation });
    for (const what of ['losses', 'norms', 'evals'] as const)
      parts[what].forEach((value, i) => expect(Math.abs(value / whole[what][i]! - 1), what).toBeLessThan(1e-4));
  }
});

it('goes by all texts of a step: an epoch that ends with fewer rows too', async () => {
  const { steps, logger } = recorder();
  const over = {
    data: { source: rows.slice(0, 5) },
    batchSize: 2,
    gradientAccumulation: 2,
    steps: 2,
    evalData: null,
    evalFraction: 0,
  };
  await runTraining(await config(over), { store: createMemoryStore(), gpu, logger });
  expect(steps[0]!.loss).toBeGreaterThan(0);
  // One row alone, without a negative, has nothing to be told apart from.
  expect(Math.abs(steps[1]!.loss)).toBeLessThan(Math.log(2));
});

it('refuses steps that teach nothing', async () => {
  const pairs = rows.filter((row) => !('negative' in row));
  const alone = await config({ data: { source: pairs }, batchSize: 1 });
  await expect(runTraining(alone, { store: createMemoryStore(), gpu })).rejects.toThrow(
    /batchSize: found 1; allowed: more rows a step/,
  );
});

it('shows what the model will see', async () => {
  const { rows: shown, train } = await inspectData(await config());
  expect(train.forms).toEqual({ 'anchor, positive': 8, 'anchor, positive, negatives': 4 });
  const text = shown[1]!.pieces.map((piece) => piece.text).join('');
  expect(text).toContain('q: where is the river');
  expect(text).toContain('d: there 1 RIVER');
  const short = await inspectData(await config({ maxLength: train.lengths.max - 1 }));
  expect(short.train.tooLong).toBeGreaterThan(0);
  expect(short.train.tooLong).toBeLessThan(12);
  expect(short.train.cut).toBeGreaterThanOrEqual(short.train.tooLong);
  expect(train.tokens).toBeGreaterThan(train.lengths.max * 12);
});
