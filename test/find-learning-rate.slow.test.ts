// The rate that is suggested learns more in a few steps than a tenth of it and ten times it do.
import { openGpu, type Gpu } from '@lapidary/gpu';
import { findLearningRate, type TrainConfig } from '@lapidary/trainer';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { configOf, lossAt } from './support/rate-cases.js';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterEach(() => expect(gpu.counters.bytes).toBe(0));
afterAll(() => gpu.destroy());

it.each<[string, Partial<TrainConfig>]>([
  ['a LoRA', { lora: { rank: 4, alpha: 8 } }],
  ['the model itself', { lora: null }],
])('%s', async (_, over) => {
  const { suggested, points } = await findLearningRate(await configOf(over), { gpu });
  expect(points.map(({ rate }) => rate).slice(-1)[0]).toBeCloseTo(1, 12);
  const losses = [];
  for (const factor of [0.1, 1, 10]) losses.push(await lossAt(gpu, over, 'adamw', suggested! * factor));
  expect(losses[1]).toBeLessThan(losses[0]!);
  expect(losses[1]).toBeLessThan(losses[2]!);
});

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
