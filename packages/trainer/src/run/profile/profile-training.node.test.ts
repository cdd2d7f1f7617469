// Profiles of real steps of the example's model. No time is compared with another: only what must be so whatever they are.
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { openGpu, type Gpu } from '@lapidary/gpu';
import type { ProgramPlan } from '@lapidary/tensor';
import { modelWeightLoader } from '@lapidary/weights';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { resolveTrainConfig } from '../../config/resolve-train-config.js';
import type { TrainConfig } from '../../config/train-config.js';
import { DatasetError } from '../../data/errors.js';
import { ConfigError } from '../../errors/errors.js';
import { destroyModel } from '../prepare/plan-model.js';
import { prepareRun } from '../prepare/prepare-run.js';
import { batchesOfStep } from '../train/batches.js';
import { loadModel } from '../train/load-model.js';
import { Trainer } from '../train/trainer.js';
import { profileTraining } from './profile-training.js';

const example = (path: string) => fileURLToPath(new URL(`../../../../../examples/finetune/${path}`, import.meta.url));

const config = (over: Partial<TrainConfig> = {}) =>
  resolveTrainConfig({
    weightLoader: { ...modelWeightLoader({ from: example('base') }), description: 'the example' },
    data: { source: example('data/orders.jsonl') },
    batchSize: 2,
    maxLength: 64,
    lora: { rank: 4, targets: ['qProj'], layers: [0] },
    outDir: '/nowhere/at/all',
    ...over,
  });

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterEach(() => expect(gpu.counters.bytes).toBe(0));
afterAll(() => gpu.destroy());

/** Kernels from a run's plans alone: of a step over rows of each length, and of the update. */
async function planned(run: ReturnType<typeof config>) {
  const prepared = await prepareRun(run, gpu);
  await prepared.close();
  const { training } = prepared.plan;
  const kernels = (plan: Pick<ProgramPlan, 'calls'> | undefined) => plan?.calls.map(({ shader }) => shader) ?? [];
  const step = (length: number) =>
    kernels([...training.steps.values()].find(({ inputTypes }) => inputTypes['inputIds']?.shape[1] === length));
  return { step, update: kernels(training.kind === 'micro' ? training.update : undefined) };
}

it('holds every dispatch of a step, in order, with what it takes', async () => {
  const phases: string[] = [];
  const run = config();
  const profile = await profileTraining(run, {
    gpu,
    runs: 2,
    logger: { onPhase: ({ name }) => void phases.push(name) },
  });
  expect(profile).toMatchObject({ model: 'the example', runs: 2, batches: [{ rows: 2, pictures: 0 }] });
  const { length } = profile.batches[0]!;
  expect(phases).toEqual(expect.arrayContaining(["Measuring the adapter's ceiling", 'Compiling', 'Profiling']));
  expect(profile.dispatches.map(({ kernel }) => kernel)).toEqual((await planned(run)).step(length));

  const { kernels, dispatches } = profile;
  expect(kernels.reduce((sum, { calls }) => sum + calls, 0)).toBe(dispatches.length);
  expect(kernels.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1, 6);
  expect(kernels.reduce((sum, { nanoseconds }) => sum + nanoseconds, 0)).toBeCloseTo(profile.nanoseconds, 0);
  for (const { bytes, nanoseconds } of dispatches) {
    expect(bytes).toBeGreaterThan(0);
    expect(Number.isFinite(nanoseconds) && nanoseconds >= 0).toBe(true);
  }
  for (const { stepMs, profiledStepMs, ofCeiling } of [profile])
    for (const value of [stepMs, profiledStepMs, ofCeiling]) expect(value).toBeGreaterThan(0);

  // Products with a frozen weight, known by their types.
  const { hidden_size: hidden, intermediate_size: wide } = JSON.parse(
    await readFile(example('base/config.json'), 'utf8'),
  ) as Record<string, number>;
  const tokens = 2 * length;
  const up = dispatches.filter(({ types }) =>
    types.startsWith(`f32[${tokens}, ${hidden}], bf16[${wide}, ${hidden}] → `),
  );
  expect(up.length).toBeGreaterThan(0);
  for (const { op, flops } of up) expect({ op, flops }).toEqual({ op: 'matmul', flops: 2 * tokens * hidden! * wide! });
});

it('with gradient accumulation: every micro-batch, then the update', async () => {
  const run = config({ gradientAccumulation: 2 });
  const { batches, dispatches } = await profileTraining(run, { gpu, runs: 1 });
  const { step, update } = await planned(run);
  expect(batches).toHaveLength(2);
  expect(update.length).toBeGreaterThan(0);
  const expected = [...batches.flatMap(({ length }) => step(length)), ...update];
  expect(dispatches.map(({ kernel }) => kernel)).toEqual(expected);
});

it('a step that is profiled is a step: the next begins where it ended, bit for bit', async () => {
  const run = config({ gradientAccumulation: 2, optimizer: { learningRate: 0.05 } });
  const lossesAfter = async (first: 'step' | 'profile') => {
    const prepared = await prepareRun(run, gpu);
    const { model, plan, open, task, data } = prepared;
    await loadModel(gpu, open.weights, model, run);
    await prepared.close();
    const trainer = await Trainer.create(gpu, plan, { config: run });
    const batches = await batchesOfStep(0, prepared, task.shapes(data.train));
    if (first === 'step') await trainer.step(1, batches, 0.05);
    else expect(await trainer.profile(1, batches, 0.05, {})).toHaveLength(3);
    const result = await trainer.step(2, batches, 0.05);
    trainer.destroy();
    destroyModel(model);
    return result;
  };
  const plain = await lossesAfter('step');
  expect(plain.loss).toBeGreaterThan(0);
  expect(await lossesAfter('profile')).toEqual(plain);
});

it('what cannot be profiled ends in a typed error, and nothing stays on the device', async () => {
  await expect(profileTraining(config(), { gpu, runs: 0 })).rejects.toThrow(RangeError);
  await expect(profileTraining(config({ data: { source: 'no-such.jsonl' } }), { gpu })).rejects.toThrow(DatasetError);
  await expect(profileTraining(config({ maxLength: 4096 }), { gpu })).rejects.toThrow(ConfigError);
  const signal = AbortSignal.abort();
  await expect(profileTraining(config(), { gpu, signal })).rejects.toMatchObject({ name: 'AbortError' });
});
