// What a run says and does where it cannot go on, or need not: on a tiny model, before or after its steps.
import { type Gpu, openGpu } from '@lapidary/gpu';
import {
  ConfigError,
  createMemoryStore,
  NonFiniteLossError,
  readText,
  RunTooLargeError,
  resolveTrainConfig,
  runTraining,
  type TrainConfig,
  type TrainingSummary,
} from '@lapidary/trainer';
import { bufferSource, gemmaWeightLoader, openSafetensors } from '@lapidary/weights';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { chatModelSources } from './support/fixture-sources.js';
import { fixtureBytes } from './support/safetensors-fixture.js';

async function config(over: Partial<TrainConfig> = {}, weights?: Uint8Array) {
  return resolveTrainConfig({
    weightLoader: gemmaWeightLoader({
      from: (await chatModelSources()).map((source) =>
        weights && source.name === 'model.safetensors' ? bufferSource(source.name, weights) : source,
      ),
    }),
    data: {
      source: Array.from({ length: 6 }, (_, i) => ({ prompt: `The lamp ${i}`, completion: ` by the river ${i}` })),
    },
    maxLength: 48,
    batchSize: 2,
    steps: 2,
    sampleCount: 0,
    ...over,
  });
}

/** The model with one weight that is not a number. */
async function poisoned(): Promise<Uint8Array> {
  const bytes = await fixtureBytes('models/gemma3-tiny/model.safetensors');
  const file = await openSafetensors(bufferSource('model.safetensors', bytes));
  const { offset } = file.tensors.get('model.layers.1.mlp.down_proj.weight')!;
  new DataView(bytes.buffer).setFloat32(offset, NaN, true);
  return bytes;
}

// A new device compiles and checks its kernels for longer than most runs here take: they share one, and must leave it empty.
let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterEach(() => expect(gpu.counters.bytes).toBe(0));
afterAll(() => gpu.destroy());

it.each([
  [
    'rows beyond the context',
    { maxLength: 129 },
    /maxLength: found 129; allowed: at most 128: the model's context is 128/,
  ],
  [
    'a pattern that matches nothing',
    { freeze: ['layers.*.atn.**'] },
    /freeze: found 'layers\.\*\.atn\.\*\*'.*nearest are layers\.0\.attn/,
  ],
  ['a layer that is not there', { lora: { layers: [99] } }, /lora\.layers: found 99; allowed: .*0 to 5/],
  ['targets that match nothing', { lora: { targets: /q_proj/ } }, /lora\.targets: found \/q_proj\//],
])('%s: refused before anything is loaded', async (_, over, message) => {
  gpu.counters.peakBytes = 0;
  const run = runTraining(await config(over), { store: createMemoryStore(), gpu });
  await expect(run).rejects.toThrow(message);
  await expect(run).rejects.toThrow(ConfigError);
  expect(gpu.counters.peakBytes).toBe(0);
});

it('a run that cannot fit: refused before anything is loaded, with what makes it smaller', async () => {
  gpu.counters.peakBytes = 0;
  const error = await runTraining(await config({ batchSize: 4_000_000 }), { store: createMemoryStore(), gpu }).catch(
    (e: unknown) => e,
  );
  expect(error).toBeInstanceOf(RunTooLargeError);
  expect((error as RunTooLargeError).hint).toMatch(/gradientCheckpointing(.|\n)*batchSize/);
  expect(gpu.counters.peakBytes).toBe(0);
});

it.each([
  ['the evaluation before the first step', { evalFraction: 0.4 }, 0],
  ['the first step, where nothing is evaluated', { evalFraction: 0 }, 1],
])('a model with NaN in it: %s says so and names the tensor', async (_, over, step) => {
  const store = createMemoryStore();
  const error = await runTraining(await config(over, await poisoned()), { store, gpu }).catch((e: unknown) => e);
  expect(error).toBeInstanceOf(NonFiniteLossError);
  expect(error).toMatchObject({ step, firstAt: 'layers.1.mlp.downProj.weight' });
  expect((error as NonFiniteLossError).hint).toMatch(/weights or the data/);
  expect((error as NonFiniteLossError).hint).not.toMatch(/checkpoint|resume/);
  expect((await store.list('checkpoints')).length).toBe(0);
});

it('a run that diverges: advice on its settings, and the checkpoint there is', async () => {
  const schedule = { type: 'constant', warmupSteps: 0 } as const;
  const diverging = await config({ steps: 6, optimizer: { learningRate: 1e30 }, schedule, saveEvery: 1 });
  const error = await runTraining(diverging, { store: createMemoryStore(), gpu }).catch((e: unknown) => e);
  expect(error).toBeInstanceOf(NonFiniteLossError);
  const { step, hint } = error as NonFiniteLossError;
  expect(step).toBeGreaterThan(1);
  expect(hint).toMatch(/learning rate.*start again\. Checkpoint \d+, from before, is kept\./);
});

it('a finished run, resumed: the summary keeps its losses, and a notice says so', async () => {
  const store = createMemoryStore();
  const evalFraction = 0.4;
  const first = await runTraining(await config({ evalFraction }), { store, gpu });
  expect(JSON.parse(await readText(store, 'run.json'))).toMatchObject({ rows: 'completion' });
  const notices: string[] = [];
  await runTraining(await config({ evalFraction, resume: true }), {
    store,
    gpu,
    logger: { onNotice: (notice) => void notices.push(notice) },
  });
  const again = JSON.parse(await readText(store, 'summary.json')) as TrainingSummary;
  expect(first.finalLoss).not.toBeNull();
  expect(first.finalEvalLoss).not.toBeNull();
  const { steps, finalLoss, finalEvalLoss, baseEvalLoss } = first;
  expect(again).toMatchObject({ steps, finalLoss, finalEvalLoss, baseEvalLoss });
  expect(notices.join()).toContain('All 2 steps are done already');
});
