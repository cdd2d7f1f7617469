// Pipelines compile while weights load: what is asked for before they are there, and what happens where either fails.
import { Gpu, openGpu, type PipelineSpec, ShaderCompilationError } from '@lapidary/gpu';
import { createMemoryStore, profileTraining, resolveTrainConfig, runTraining } from '@lapidary/trainer';
import { gemmaWeightLoader, type OpenedWeights, WeightSourceError } from '@lapidary/weights';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest';
import { chatModelSources } from './support/fixture-sources.js';

type Load = OpenedWeights['load'];

/** A run that takes all of its programs; its weights are there once `before` is done, which is given the load's signal. */
async function config(before: (signal: AbortSignal) => Promise<void>, gradientAccumulation = 1) {
  const loader = gemmaWeightLoader({ from: await chatModelSources() });
  const open = async () => {
    const weights = await loader.open();
    const load: Load = async (targets, sink, options) => {
      await before(options!.signal!);
      return weights.load(targets, sink, options);
    };
    return { ...weights, load };
  };
  return resolveTrainConfig({
    weightLoader: { open },
    data: {
      source: Array.from({ length: 8 }, (_, i) => ({ prompt: `The lamp ${i}`, completion: ` by the river ${i}` })),
    },
    evalFraction: 0.25,
    maxLength: 48,
    batchSize: 2,
    steps: 1,
    gradientAccumulation,
    sampleCount: 1,
    sampleTokens: 2,
  });
}

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterAll(() => gpu.destroy());

/** The same device, on which nothing has been compiled, and what is asked of its pipelines. */
let cold: Gpu;
beforeEach(() => {
  cold = new Gpu(gpu.device, gpu.profile);
});
afterEach(() => expect(cold.counters.bytes).toBe(0));

const unhandled: unknown[] = [];
const note = (event: unknown) => void unhandled.push(event);
beforeAll(() => {
  globalThis.process?.on?.('unhandledRejection', note);
  globalThis.addEventListener?.('unhandledrejection', note);
});
afterEach(async () => {
  // Rejections are told after the microtasks of their task.
  await nextTask();
  expect(unhandled.splice(0)).toEqual([]);
});
afterAll(() => {
  globalThis.process?.off?.('unhandledRejection', note);
  globalThis.removeEventListener?.('unhandledrejection', note);
});

const nextTask = () => new Promise((resolve) => setTimeout(resolve));

it.each([
  ['a run', 1, runTraining],
  ['a run with gradient accumulation', 2, runTraining],
  ['a profile', 1, profileTraining],
])('%s asks for every pipeline before its weights are there', async (_, accumulate, start) => {
  const get = vi.spyOn(cold.pipelines, 'get');
  let compiled = 0;
  const before = async () => {
    await Promise.all(get.mock.results.map(({ value }) => value as Promise<unknown>));
    compiled = cold.pipelines.created;
  };
  await start(await config(before, accumulate), {
    gpu: cold,
    ...(start === runTraining && { store: createMemoryStore() }),
  });
  expect(compiled).toBeGreaterThan(20);
  expect(cold.pipelines.created).toBe(compiled);
});

it('weights that fail while pipelines compile: their error, whatever becomes of the pipelines', async () => {
  const error = new WeightSourceError('model.safetensors', 'is gone');
  let fail: (error: Error) => void = () => undefined;
  cold.pipelines.get = () => new Promise((_, reject) => (fail = reject));
  const before = () => Promise.reject(error);
  await expect(runTraining(await config(before), { gpu: cold, store: createMemoryStore() })).rejects.toBe(error);
  fail(new Error('of a pipeline that nobody waits for any more'));
});

it.each([
  ['while weights load: their loading ends', true],
  ['when weights are there already', false],
])('a pipeline turns out not to compile %s; its error is told once', async (_, early) => {
  let startCompiling: () => void = () => undefined;
  const turn = early ? Promise.resolve() : new Promise<void>((resolve) => (startCompiling = resolve));
  const get = cold.pipelines.get.bind(cold.pipelines);
  const asked: Promise<unknown>[] = [];
  cold.pipelines.get = (spec: PipelineSpec) => {
    const pipeline =
      spec.shader === 'optimizer/adamw'
        ? turn.then(() => get({ ...spec, conditions: {}, source: 'fn main() { let x: u32 = 1.5; }' }))
        : get(spec);
    asked.push(pipeline);
    return pipeline;
  };
  const told: unknown[] = [];
  const read = vi.fn();
  const before = async (signal: AbortSignal) => {
    if (early) await Promise.allSettled(asked);
    await nextTask();
    signal.throwIfAborted();
    read();
  };
  const error = await runTraining(await config(before), {
    gpu: cold,
    store: createMemoryStore(),
    logger: {
      onPhase: ({ name }) => void (name === 'Compiling' && startCompiling()),
      onFail: (reason) => void told.push(reason),
    },
  }).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(ShaderCompilationError);
  expect((error as ShaderCompilationError).place).toMatchObject({ file: 'optimizer/adamw.wesl', line: 1 });
  expect(told).toEqual([error]);
  expect(read).toHaveBeenCalledTimes(early ? 0 : 1);
});
