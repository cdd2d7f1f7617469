// A device that goes away in the middle of a run: in Node and in Chromium.
import { DeviceLostError, GpuOutOfMemoryError, openGpu, type Gpu } from '@lapidary/gpu';
import {
  createMemoryStore,
  readMetrics,
  resolveTrainConfig,
  runTraining,
  type FileStore,
  type RunLogger,
} from '@lapidary/trainer';
import { bufferSource, gemmaWeightLoader } from '@lapidary/weights';
import { expect, it } from 'vitest';
import { fixtureBytes } from '../support/safetensors-fixture.js';

const file = async (name: string, path: string) => bufferSource(name, await fixtureBytes(path));

async function config(resume = false) {
  return resolveTrainConfig({
    weightLoader: gemmaWeightLoader({
      from: await Promise.all([
        file('config.json', 'models/gemma3-tiny/config.json'),
        file('model.safetensors', 'models/gemma3-tiny/model.safetensors'),
        file('tokenizer.json', 'tokenizer/tokenizer.json'),
        file('tokenizer_config.json', 'tokenizer/tokenizer_config.json'),
      ]),
    }),
    data: {
      source: Array.from({ length: 8 }, (_, i) => ({ prompt: `The lamp ${i}`, completion: ` by the river ${i}` })),
    },
    maxLength: 48,
    batchSize: 2,
    steps: 6,
    saveEvery: 2,
    evalEvery: 3,
    sampleCount: 1,
    sampleTokens: 4,
    optimizer: { learningRate: 1e-2 },
    resume,
  });
}

async function train(
  store: FileStore,
  { gpu, resume = false, logger = {} }: { gpu?: Gpu; resume?: boolean; logger?: RunLogger },
) {
  return runTraining(await config(resume), { store, logger, ...(gpu && { gpu }) });
}

it('ends a run with DeviceLostError and loses nothing that was saved', async () => {
  const undisturbed = createMemoryStore();
  await train(undisturbed, {});

  const store = createMemoryStore();
  const gpu = await openGpu();
  const lost = train(store, {
    gpu,
    // Step 5 is under way when the device goes, as it does by a driver's reset; step 4 is saved.
    logger: { onStep: ({ step }) => step === 5 && gpu.device.destroy() } as RunLogger,
  });
  await expect(lost).rejects.toThrow(DeviceLostError);
  await expect(lost).rejects.toThrow(/resume from the last checkpoint/);

  const summary = await train(store, { resume: true });
  expect(summary.steps).toBe(6);
  const losses = async (of: FileStore) =>
    (await readMetrics(of)).map(({ step, loss, evalLoss }) => ({ step, loss, evalLoss }));
  expect(await losses(store)).toEqual(await losses(undisturbed));
});

it.each(['Loading weights', 'Compiling'])('a device lost while %s says so', async (phase) => {
  const gpu = await openGpu();
  const lost = train(createMemoryStore(), {
    gpu,
    logger: { onPhase: ({ name }) => name === phase && gpu.device.destroy() } as RunLogger,
  });
  await expect(lost).rejects.toThrow(DeviceLostError);
});

it('memory that the device has not got ends a run before its weights are read, and leaves no run behind', async () => {
  const gpu = await openGpu();
  const phases: string[] = [];
  const failed = train(createMemoryStore(), {
    gpu,
    logger: {
      onPhase: ({ name }) => {
        phases.push(name);
        // What a driver without memory makes of `createBuffer`: no exception, but an error of the device.
        if (name === 'Opening model and data') {
          const error = new GPUOutOfMemoryError('not enough memory');
          gpu.device.dispatchEvent(new GPUUncapturedErrorEvent('uncapturederror', { error }));
        }
      },
    },
  });
  await expect(failed).rejects.toThrow(GpuOutOfMemoryError);
  expect(phases).not.toContain('Loading weights');
  gpu.destroy();
});
