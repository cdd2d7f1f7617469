// The rate that is suggested learns more in a few steps than a tenth of it and ten times it do.
import { openGpu, type Gpu } from '@lapidary/gpu';
import { gemmaWeightLoader } from '@lapidary/weights';
import {
  createMemoryStore,
  findLearningRate,
  resolveTrainConfig,
  runTraining,
  type OptimizerType,
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

/** The evaluation loss that a run at a rate ends with. */
async function lossAt(over: Partial<TrainConfig>, type: OptimizerType, learningRate: number): Promise<number> {
  const config = await configOf({ ...over, optimizer: { type, learningRate } });
  // A rate at which nothing is finite any more has learned nothing.
  return runTraining(config, { gpu, store: createMemoryStore() }).then(
    ({ finalEvalLoss }) => finalEvalLoss!,
    () => Infinity,
  );
}

it.each<[string, Partial<TrainConfig>]>([
  ['a LoRA', { lora: { rank: 4, alpha: 8 } }],
  ['the model itself', { lora: null }],
])('%s', async (_, over) => {
  const { suggested, points } = await findLearningRate(await configOf(over), { gpu });
  expect(points.map(({ rate }) => rate).slice(-1)[0]).toBeCloseTo(1, 12);
  const losses = [];
  for (const factor of [0.1, 1, 10]) losses.push(await lossAt(over, 'adamw', suggested! * factor));
  expect(losses[1]).toBeLessThan(losses[0]!);
  expect(losses[1]).toBeLessThan(losses[2]!);
});

const optimizers = ['sgd', 'lion', 'adafactor'] as const;
const trained = [
  ['a LoRA', { lora: { rank: 4, alpha: 8 } }],
  ['the model itself', { lora: null }],
] as const;
it.each(optimizers.flatMap((type) => trained.map(([what, over]) => [type, what, over] as const)))(
  '%s, %s: the suggestion trains, better than a tenth of it',
  async (type, what, over) => {
    const notices: string[] = [];
    const logger = { onNotice: (notice: string) => void notices.push(notice) };
    const first = await configOf({ ...over, optimizer: { type } });
    const { suggested, points } = await findLearningRate(first, { gpu, logger });
    const capped = expect.stringMatching(
      /^At step 100 adafactor makes the same step at every rate above 0\.1/,
    ) as string;
    if (type === 'adafactor') expect(notices).toEqual([capped]);
    if (type === 'adafactor') expect(points.at(-1)!.rate).toBeCloseTo(0.1, 12);
    if (type === 'adafactor' && what === 'a LoRA') {
      // Its B begins at 0 and leaves it by a thousandth of the rate a step: in so few steps nothing is learned at any rate.
      expect(suggested).toBeNull();
      return;
    }
    const begun = points[0]!.loss;
    const [tenth, loss] = [await lossAt(over, type, suggested! / 10), await lossAt(over, type, suggested!)];
    expect(loss).toBeLessThan(tenth);
    expect(loss).toBeLessThan(begun / 2);
  },
);

it('says where a larger range may find more', async () => {
  const notices: string[] = [];
  const logger = { onNotice: (notice: string) => void notices.push(notice) };
  const config = await configOf({ lora: { rank: 4, alpha: 8 }, optimizer: { type: 'sgd' } });
  const { suggested } = await findLearningRate(config, { gpu, logger, to: 0.05 });
  expect(suggested).toBeGreaterThan(0.01);
  expect(notices).toEqual([expect.stringMatching(/end of the rates that were tried/)]);
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

it('refuses rates that the optimiser never takes', async () => {
  const config = await configOf({ optimizer: { type: 'adafactor' } });
  await expect(findLearningRate(config, { gpu, from: 0.2 })).rejects.toThrow(/from must be below 0\.1.*adafactor/);
  await expect(findLearningRate(config, { gpu, to: Infinity })).rejects.toThrow(RangeError);
});

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
