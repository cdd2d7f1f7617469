import { gemmaPresets, type ModelConfig, modelPresets } from '@lapidary/gemma';
import { expect, it } from 'vitest';
import { resolveTrainConfig } from '../../config/resolve-train-config.js';
import type { TrainConfig } from '../../config/train-config.js';
import { RunTooLargeError } from '../../errors/errors.js';
import { unopenedLoader } from '../../testing/unopened-loader.js';
import { planRelease } from './prepare-run.js';
import { describeRecomputed } from './plan-within-budget.js';

const preset = gemmaPresets['gemma-3-270m'];
const layers = 6;
const small = { ...preset, numLayers: layers, layerTypes: preset.layerTypes.slice(0, layers) };

const planWith = (settings: Partial<TrainConfig>, config: ModelConfig = small) => {
  const run = resolveTrainConfig({
    weightLoader: unopenedLoader(),
    data: { source: [] },
    maxLength: 128,
    batchSize: 2,
    ...settings,
  });
  return planRelease(config, run).plan;
};

it('computes again as few blocks as a budget needs', () => {
  const free = planWith({});
  const least = planWith({ gradientCheckpointing: true });
  expect(free.blocks).toEqual({ recomputed: 0, total: layers });
  expect(least.blocks).toEqual({ recomputed: layers, total: layers });
  expect(least.totalBytes).toBeLessThan(free.totalBytes);
  expect(planWith({ memoryBudget: free.totalBytes }).blocks.recomputed).toBe(0);
  expect(planWith({ memoryBudget: least.totalBytes }).totalBytes).toBeLessThanOrEqual(least.totalBytes);

  // What each number of blocks takes, by budgets that just leave out the one before.
  let bytes = free.totalBytes;
  const found: number[] = [];
  while (bytes > least.totalBytes) {
    const plan = planWith({ memoryBudget: bytes - 1 });
    expect(plan.totalBytes).toBeLessThan(bytes);
    found.push(plan.blocks.recomputed);
    bytes = plan.totalBytes;
  }
  expect(found.length).toBeGreaterThan(2);
  expect(found).toEqual([...found].sort((a, b) => a - b));
  expect(found[0]).toBe(1);
});

it('counts the blocks of both towers', () => {
  expect(planWith({ gradientCheckpointing: true }, modelPresets['paligemma-3b-224']).blocks).toEqual({
    recomputed: 45,
    total: 45,
  });
});

it('refuses a budget that recomputing everything does not meet, with what else would help', () => {
  const least = planWith({ gradientCheckpointing: true });
  for (const gradientCheckpointing of [false, true]) {
    let error: unknown;
    try {
      planWith({ memoryBudget: least.totalBytes - 1, gradientCheckpointing });
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(RunTooLargeError);
    expect((error as RunTooLargeError).bytes).toBe(least.totalBytes);
    expect((error as RunTooLargeError).message).toMatch(/all 6 blocks .* and the memory budget is/);
    expect((error as RunTooLargeError).advice.join()).not.toContain('gradientCheckpointing');
    expect((error as RunTooLargeError).advice.length).toBeGreaterThan(0);
  }
});

it('tells of it in a sentence, where there is something to tell', () => {
  const plan = planWith({ memoryBudget: planWith({}).totalBytes - 1 });
  expect(describeRecomputed(plan, 2 ** 30)).toMatch(
    /^1 of 6 blocks .* takes [\d.]+ [MG]iB and stays within 1.00 GiB\.$/,
  );
  expect(describeRecomputed(planWith({ gradientCheckpointing: true }), null)).toBeNull();
  expect(describeRecomputed(planWith({}), 2 ** 40)).toBeNull();
});
