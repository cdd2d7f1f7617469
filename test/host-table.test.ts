// A table that stays on the host: a run, or an answer, is what it would be with the table on the device, bit for bit.
import { openGpu, type Gpu } from '@lapidary/gpu';
import { createMemoryStore, resolveTrainConfig, runTraining, type TrainConfig } from '@lapidary/trainer';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { tableFiles, tableLoader, type TableOptions } from './support/host-table.js';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterAll(() => gpu.destroy());

async function train(options: TableOptions, over: Partial<TrainConfig> = {}) {
  const told: number[] = [];
  const notices: string[] = [];
  const samples: string[] = [];
  const store = createMemoryStore();
  const config = resolveTrainConfig({
    weightLoader: tableLoader(await tableFiles(options)),
    data: {
      source: Array.from({ length: 6 }, (_, i) => ({ prompt: `The lamp ${i}`, completion: ` by the river ${i % 3}` })),
    },
    evalFraction: 0.2,
    maxLength: 32,
    batchSize: 2,
    steps: 3,
    lora: { rank: 2, alpha: 4 },
    evalEvery: 2,
    sampleCount: 1,
    sampleTokens: 3,
    outDir: 'memory',
    ...over,
  });
  const summary = await runTraining(config, {
    store,
    gpu,
    logger: {
      onNotice: (notice) => void notices.push(notice),
      onStep: ({ loss, gradNorm }) => void told.push(loss, gradNorm),
      onEval: ({ loss }) => void told.push(loss),
      onSample: ({ answer }) => void samples.push(answer),
    },
  });
  return { told, notices, samples, summary, store };
}

it('a LoRA run', async () => {
  const [device, host] = [await train({ isOnHost: false }), await train({ isOnHost: true })];
  expect(host.told.length).toBeGreaterThan(8);
  expect(host.told).toEqual(device.told);
  expect(host.samples).toEqual(device.samples);
  expect(gpu.counters.bytes).toBe(0);
});
