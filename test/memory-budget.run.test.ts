// A memory budget holds for the whole run: evaluations and samples included.
import type { GemmaConfig } from '@lapidary/gemma';
import { openGpu, type Gpu } from '@lapidary/gpu';
import {
  createMemoryStore,
  prepareRun,
  resolveTrainConfig,
  runTraining,
  RunTooLargeError,
  type TrainConfig,
} from '@lapidary/trainer';
import { modelWeightLoader } from '@lapidary/weights';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { chatModelSources } from './support/fixture-sources.js';

const rows = Array.from({ length: 12 }, (_, i) => ({ prompt: `The lamp ${i}`, completion: ` by the river ${i % 3}` }));

async function config(over: Partial<TrainConfig> = {}) {
  return resolveTrainConfig({
    weightLoader: modelWeightLoader<GemmaConfig>({
      from: await chatModelSources(),
      adjustConfig: (model) => ({ ...model, maxPositionEmbeddings: 8192 }),
    }),
    data: { source: rows },
    evalFraction: 0.2,
    maxLength: 48,
    batchSize: 1,
    steps: 2,
    lora: { rank: 2, targets: ['qProj'] },
    sampleCount: 2,
    // The cache of so long an answer takes more than training does.
    sampleTokens: 4096,
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

/** What a run would take. */
async function planned(over: Partial<TrainConfig> = {}) {
  const prepared = await prepareRun(await config(over), gpu);
  await prepared.close();
  return prepared.plan;
}

it('the plan knows of samples: before and after training, or beside it', async () => {
  const without = await planned({ sampleCount: 0 });
  const apart = await planned();
  const beside = await planned({ sampleEvery: 1 });
  expect(without.samples).toBeNull();
  const { bytes } = apart.samples!;
  const training = without.totalBytes - without.readBackBytes;
  expect(apart.totalBytes).toBe(Math.max(without.totalBytes, without.modelBytes + bytes));
  expect(beside.totalBytes).toBe(training + Math.max(bytes, without.readBackBytes));
  for (const { memory, totalBytes } of [without, apart, beside])
    expect(memory.reduce((sum, entry) => sum + entry.bytes, 0)).toBe(totalBytes);
});

it.each([{}, { sampleEvery: 1 }])(
  'samples that would go beyond it are left out, and that is told (%o)',
  async (over) => {
    const least = (await planned({ sampleCount: 0, gradientCheckpointing: true })).totalBytes;
    const budget = Math.ceil(least * 1.05);
    const notices: string[] = [];
    const samples: unknown[] = [];
    const summary = await runTraining(await config({ ...over, memoryBudget: budget }), {
      store: createMemoryStore(),
      gpu,
      logger: { onNotice: (message) => void notices.push(message), onSample: (sample) => void samples.push(sample) },
    });
    expect(summary.peakBytesAllocated).toBeLessThanOrEqual(budget);
    expect(Math.abs(summary.peakBytesAllocated / summary.peakBytesPlanned - 1)).toBeLessThan(0.02);
    expect(samples).toEqual([]);
    expect(notices.join('\n')).toMatch(/No samples are taken: .* would take [\d.]+ MiB, and the memory budget is/);
    // What would help is told, and nothing else.
    expect(/`sampleEvery`/.test(notices.join('\n'))).toBe('sampleEvery' in over);
  },
);

it('a budget that has room for them changes nothing', async () => {
  const free = await planned({ sampleTokens: 4 });
  const within = await planned({ sampleTokens: 4, memoryBudget: free.totalBytes });
  expect(within.totalBytes).toBe(free.totalBytes);
  expect(within.samples).not.toBeNull();
  expect(within.blocks.recomputed).toBe(0);
});

it.each([
  {},
  { gradientAccumulation: 2, emaDecay: 0.9 },
  { sampleEvery: 1 },
  { lora: null, trainable: ['layers.*.mlp.**'] },
  { lora: null, sampleEvery: 1, gradientAccumulation: 2, optimizer: { type: 'adafactor' } },
  { evalFraction: 0, optimizer: { type: 'adafactor' } },
] as Partial<TrainConfig>[])('what was planned is the most that is ever allocated (%o)', async (over) => {
  const run = await config({ sampleTokens: 16, saveEvery: 1, evalEvery: 1, ...over });
  const summary = await runTraining(run, { store: createMemoryStore(), gpu });
  expect(summary.peakBytesAllocated).toBeLessThanOrEqual(summary.peakBytesPlanned);
  expect(summary.peakBytesAllocated).toBeGreaterThan(0.98 * summary.peakBytesPlanned);
});

it('what training alone cannot meet is refused', async () => {
  const least = (await planned({ sampleCount: 0, gradientCheckpointing: true })).totalBytes;
  await expect(planned({ memoryBudget: least - 1 })).rejects.toBeInstanceOf(RunTooLargeError);
});
