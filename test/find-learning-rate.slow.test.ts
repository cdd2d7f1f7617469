// The rate that is suggested learns more in a few steps than a tenth of it and ten times it do.
import { openGpu, type Gpu } from '@lapidary/gpu';
import { gemmaWeightLoader } from '@lapidary/weights';
import {
  createMemoryStore,
  findLearningRate,
  resolveTrainConfig,
  runTraining,
  type TrainConfig,
} from '@lapidary/trainer';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { chatModelSources } from './support/fixture-sources.js';

const rows = Array.from({ length: 24 }, (_, i) => ({ prompt: `The lamp ${i}`, completion: ` by the river ${i % 3}` }));

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterEach(() => expect(gpu.counters.bytes).toBe(0));
afterAll(() => gpu.destroy());

const configOf = async (over: Partial<TrainConfig>) =>
  resolveTrainConfig({
    weightLoader: gemmaWeightLoader({ from: await chatModelSources() }),
    data: { source: rows },
    maxLength: 48,
    batchSize: 4,
    steps: 20,
    schedule: { type: 'constant', warmupSteps: 0 },
    sampleCount: 0,
    outDir: 'memory',
    ...over,
  });

it.each<[string, Partial<TrainConfig>]>([
  ['a LoRA', { lora: { rank: 4, alpha: 8 } }],
  ['the model itself', { lora: null }],
])('%s', async (_, over) => {
  const { suggested, points } = await findLearningRate(await configOf(over), { gpu });
  expect(points.map(({ rate }) => rate).slice(-1)[0]).toBeCloseTo(1, 12);
  const after = async (learningRate: number) => {
    const optimizer = { ...over.optimizer, learningRate };
    const run = runTraining(await configOf({ ...over, optimizer } as Partial<TrainConfig>), {
      gpu,
      store: createMemoryStore(),
    });
    // A rate at which nothing is finite any more has learned nothing.
    return run.then(
      ({ finalEvalLoss }) => finalEvalLoss!,
      () => Infinity,
    );
  };
  const losses = [];
  for (const factor of [0.1, 1, 10]) losses.push(await after(suggested! * factor));
  expect(losses[1]).toBeLessThan(losses[0]!);
  expect(losses[1]).toBeLessThan(losses[2]!);
});

it('a loss that goes away, or is not finite any more, ends it early', async () => {
  const config = await configOf({ lora: null, optimizer: { type: 'sgd', clipGradNorm: null } });
  const { diverged, points, suggested } = await findLearningRate(config, { gpu, from: 1e-4, to: 1e8, steps: 60 });
  expect(diverged).toBe(true);
  expect(points.length).toBeLessThan(60);
  expect(suggested).toBeGreaterThan(1e-4);
});

it.each([{ steps: 19 }, { steps: 20.5 }, { from: 0 }, { from: 1, to: 1 }, { to: Infinity }])(
  'refuses %j before anything is opened',
  async (options) => {
    await expect(findLearningRate(await configOf({}), { gpu, ...options })).rejects.toThrow(RangeError);
  },
);

it('a signal ends it', async () => {
  const stop = new AbortController();
  const logger = { onPhase: ({ name }: { name: string }) => name === 'Trying rates' && stop.abort() };
  const found = findLearningRate(await configOf({}), {
    gpu,
    signal: stop.signal,
    logger: { onPhase: (phase) => void logger.onPhase(phase) },
  });
  await expect(found).rejects.toThrow(expect.objectContaining({ name: 'AbortError' }) as Error);
});
