// What a run says and does where it cannot go on, or need not: on a tiny model, before or after its steps.
import { Gpu, openGpu } from '@lapidary/gpu';
import {
  ConfigError,
  createMemoryStore,
  type FileStore,
  listCheckpoints,
  loadLatestCheckpoint,
  NonFiniteLossError,
  readText,
  RunTooLargeError,
  resolveTrainConfig,
  runTraining,
  saveCheckpoint,
  type StepRecord,
  type TrainConfig,
  TrainingInterruptedError,
  type TrainingSummary,
} from '@lapidary/trainer';
import { bufferSource, gemmaWeightLoader, openSafetensors, type TensorData, WeightFileError } from '@lapidary/weights';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { chatModelSources } from './support/fixture-sources.js';
import { fixtureBytes } from './support/safetensors-fixture.js';

const rows = Array.from({ length: 6 }, (_, i) => ({ prompt: `The lamp ${i}`, completion: ` by the river ${i}` }));

async function config(over: Partial<TrainConfig> = {}, weights?: Uint8Array) {
  return resolveTrainConfig({
    weightLoader: gemmaWeightLoader({
      from: (await chatModelSources()).map((source) =>
        weights && source.name === 'model.safetensors' ? bufferSource(source.name, weights) : source,
      ),
    }),
    data: {
      source: rows,
    },
    maxLength: 48,
    batchSize: 2,
    steps: 2,
    sampleCount: 0,
    ...over,
  });
}

/** The model with one weight of this value. */
async function spoilt(value: number): Promise<Uint8Array> {
  const bytes = await fixtureBytes('models/gemma3-tiny/model.safetensors');
  const file = await openSafetensors(bufferSource('model.safetensors', bytes));
  const { offset } = file.tensors.get('model.layers.1.mlp.down_proj.weight')!;
  new DataView(bytes.buffer).setFloat32(offset, value, true);
  return bytes;
}

/** Writes a checkpoint again, with this value in all that was learned. */
async function enlarge(store: FileStore, step: number, value: number, learned = /\.lora\.[ab]$/): Promise<void> {
  const found = (await loadLatestCheckpoint(store, { atMost: step }))!;
  const tensors = new Map<string, TensorData>();
  for (const [name, { dtype, shape, read }] of found.tensors) {
    const bytes = (await read()).slice();
    if (learned.test(name)) new Float32Array(bytes.buffer).fill(value);
    tensors.set(name, { dtype, shape, bytes });
  }
  await saveCheckpoint(store, step, { tensors, state: found.state }, { newest: 9 });
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
  // The same device, of which a buffer may hold less.
  const { profile } = gpu;
  const small = new Gpu(gpu.device, { ...profile, limits: { ...profile.limits, maxBufferSize: 50_000 } });
  const error = await runTraining(await config(), { store: createMemoryStore(), gpu: small }).catch((e: unknown) => e);
  expect(error).toBeInstanceOf(RunTooLargeError);
  expect((error as RunTooLargeError).hint).toMatch(/gradientCheckpointing(.|\n)*batchSize/);
  expect(gpu.counters.peakBytes).toBe(0);
});

it('more rows in a batch than there are: as many as there are, and the same as if that had been asked for', async () => {
  const notices: string[] = [];
  const run = async (batchSize: number) => {
    const store = createMemoryStore();
    const logger = { onNotice: (notice: string) => void notices.push(notice) };
    await runTraining(await config({ batchSize, evalFraction: 0 }), { store, gpu, logger });
    return store.read('adapter_model.safetensors');
  };
  const six = await run(6);
  expect(notices.join()).not.toContain('batchSize');
  expect(await run(4_000_000)).toEqual(six);
  expect(notices).toContain('There are only 6 rows to learn from: `batchSize` is 6, not 4000000.');
});

it('the longest row, where nothing is said of it, is what the context has room for', async () => {
  const notices: string[] = [];
  const logger = { onNotice: (notice: string) => void notices.push(notice) };
  const given = await config({ maxLength: undefined });
  expect(given.maxLength).toBe(512);
  expect(await runTraining(given, { store: createMemoryStore(), gpu, logger })).toMatchObject({ steps: 2 });
  expect(notices).toContain("Rows may have 128 tokens: the model's context has no room for more.");
  // A row that is longer is still an error, by its line.
  const source = [{ prompt: 'The lamp', completion: ' by the river'.repeat(70) }, ...rows];
  const long = runTraining({ ...given, data: { ...given.data, source } }, { store: createMemoryStore(), gpu });
  await expect(long).rejects.toThrow(/data:1: .*maxLength is 128/);
});

it.each([NaN, Infinity, -Infinity])(
  'a model with %d in it: refused while it is loaded, by file and tensor',
  async (value) => {
    const store = createMemoryStore();
    const error = await runTraining(await config({ evalFraction: 0.4 }, await spoilt(value)), { store, gpu }).catch(
      (e: unknown) => e,
    );
    expect(error).toBeInstanceOf(WeightFileError);
    expect(error).toMatchObject({ file: 'model.safetensors', tensor: 'model.layers.1.mlp.down_proj.weight' });
    expect((error as Error).message).toMatch(/not finite \(NaN or infinity\)/);
    expect((await store.list('checkpoints')).length).toBe(0);
  },
);

it.each([
  ['the evaluation before the first step', { evalFraction: 0.4 }, 0],
  ['the first step, where nothing is evaluated', { evalFraction: 0 }, 1],
])('a model of finite values too large to compute with: %s says so', async (_, over, step) => {
  const store = createMemoryStore();
  const error = await runTraining(await config(over, await spoilt(3e38)), { store, gpu }).catch((e: unknown) => e);
  expect(error).toBeInstanceOf(NonFiniteLossError);
  expect(error).toMatchObject({ step, firstAt: null });
  expect((error as NonFiniteLossError).hint).toMatch(/settings are not to blame.*weights.*rows/);
  expect((error as NonFiniteLossError).hint).not.toMatch(/checkpoint|resume/);
  expect((await store.list('checkpoints')).length).toBe(0);
});

const constant = { type: 'constant', warmupSteps: 0 } as const;

/** Checkpoints that are there, oldest first. */
const steps = async (store: FileStore) => [...(await listCheckpoints(store))].reverse();

it.each([
  ['an adapter, evaluated', { evalFraction: 0.4 }],
  ['an adapter, not evaluated', { evalFraction: 0 }],
  ['the whole model', { evalFraction: 0, lora: null }],
  ['one step', { steps: 1 }],
  ['micro-batches', { gradientAccumulation: 2, evalFraction: 0 }],
])(
  'a rate at which no step stays finite (%s): an error, no checkpoint that cannot be used, no export',
  async (_, over) => {
    const store = createMemoryStore();
    const run = { steps: 6, optimizer: { learningRate: 1e30 }, schedule: constant, saveEvery: 1, ...over };
    const error = await runTraining(await config(run), { store, gpu }).catch((e: unknown) => e);
    expect(['NonFiniteLossError', 'NonFiniteParameterError']).toContain((error as Error).name);
    expect((error as NonFiniteLossError).hint).toMatch(
      /learning rate is too high.*start again: there is no checkpoint/,
    );
    expect(await steps(store)).toEqual([]);
    expect((await store.list()).map(({ name }) => name)).not.toContain('adapter_model.safetensors');
    expect((await store.list()).map(({ name }) => name)).not.toContain('model.safetensors');
    expect((await store.list()).map(({ name }) => name)).not.toContain('summary.json');
  },
);

// Their loss is ln(600), since a normalisation makes nothing of such numbers: only a gradient tells.
it.each([
  ['AdamW', 1e30, {}],
  ['AdamW', 1e20, { evalFraction: 0.4 }],
  ['SGD', 1e30, { optimizer: { type: 'sgd' } }],
  ['AdamW, micro-batches', 1e25, { gradientAccumulation: 2 }],
  ['AdamW, averaged', 1e30, { emaDecay: 0.9 }],
] as const)(
  'a model whose loss is finite, but from which no step can be done (%s, %d): not kept',
  async (_, rate, over) => {
    const store = createMemoryStore();
    const { optimizer = {}, ...others } = { optimizer: {}, ...over };
    const run = { steps: 1, evalFraction: 0, lora: null, schedule: constant, ...others };
    const tooHigh = { ...run, optimizer: { ...optimizer, learningRate: rate } } as Partial<TrainConfig>;
    const error = await runTraining(await config(tooHigh), { store, gpu }).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(NonFiniteLossError);
    expect((error as Error).message).toMatch(
      /^After step 1: the loss is [\d.]+ and the gradient norm (NaN|Infinity), so that no step can be done from it/,
    );
    expect((error as NonFiniteLossError).hint).toMatch(/learning rate is too high.*there is no checkpoint/);
    expect(await steps(store)).toEqual([]);
    const names = (await store.list()).map(({ name }) => name);
    for (const name of ['model.safetensors', 'summary.json']) expect(names).not.toContain(name);
  },
);

it('the last checkpoint is tried again where a run ended before it was known to be good', async () => {
  const store = createMemoryStore();
  const run = { steps: 2, evalFraction: 0, lora: null, schedule: constant, saveEvery: 1, keep: 1 };
  await runTraining(await config(run), { store, gpu });
  // Known to be good: no more than `keep`.
  expect(await steps(store)).toEqual([2]);
  expect(await runTraining(await config({ ...run, resume: true }), { store, gpu })).toMatchObject({ steps: 2 });
  await enlarge(store, 2, 1e30, /^[^/]*$/);
  const error = await runTraining(await config({ ...run, resume: true }), { store, gpu }).catch((e: unknown) => e);
  expect(error).toBeInstanceOf(NonFiniteLossError);
  expect((error as Error).message).toMatch(/^After step 2: .* no step can be done from it/);
});

it.each([
  ['AdamW', { optimizer: { type: 'adamw', weightDecay: 0.1 } }],
  ['SGD', { optimizer: { type: 'sgd', momentum: 0.9 } }],
  ['Lion', { optimizer: { type: 'lion' } }],
  ['Adafactor', { optimizer: { type: 'adafactor' } }],
  ['averages', { emaDecay: 0.5 }],
] as const)('what is exported is of the last step, not of the one that is tried (%s)', async (_, over) => {
  const run = { steps: 2, evalFraction: 0, schedule: constant, saveEvery: 1, keep: 2, ...over };
  const store = createMemoryStore();
  await runTraining(await config(run), { store, gpu });
  const last = (await loadLatestCheckpoint(store))!;
  const exported = await openSafetensors(
    bufferSource('adapter_model.safetensors', await store.read('adapter_model.safetensors')),
  );
  const hash = (bytes: Uint8Array) => JSON.stringify([...bytes]);
  const found = new Set<string>();
  for (const { offset, byteLength } of exported.tensors.values())
    found.add(hash((await store.read('adapter_model.safetensors')).slice(offset, offset + byteLength)));
  const kind = 'emaDecay' in over ? /\/average$/ : /^[^/]*$/;
  const learned = [...last.tensors].filter(([name]) => kind.test(name));
  expect(learned.length).toBe(exported.tensors.size);
  for (const [name, { read }] of learned) expect(found, name).toContain(hash(await read()));
});

it('a run that diverges later: back to a checkpoint from before, with another rate', async () => {
  const store = createMemoryStore();
  const run = { steps: 6, evalFraction: 0, schedule: constant, saveEvery: 1, keep: 3 };
  const stop = new AbortController();
  const onStep = ({ step }: StepRecord) => {
    if (step === 3) stop.abort();
  };
  const first = runTraining(await config(run), { store, gpu, signal: stop.signal, logger: { onStep } });
  await expect(first).rejects.toThrow(TrainingInterruptedError);
  expect(await steps(store)).toEqual([1, 2, 3]);

  const tooHigh = { ...run, optimizer: { learningRate: 1e30 } };
  await expect(runTraining(await config({ ...tooHigh, resume: true }), { store, gpu })).rejects.toThrow(
    /optimizer\.learningRate: saved 0\.0002, now 1e\+30/,
  );
  const diverged = await runTraining(await config({ ...tooHigh, resumeFrom: 2 }), { store, gpu }).catch(
    (e: unknown) => e,
  );
  expect(diverged).toBeInstanceOf(NonFiniteLossError);
  expect((diverged as NonFiniteLossError).hint).toMatch(/go on from checkpoint 2, .*`resumeFrom` 2/);
  expect(await steps(store)).toEqual([1, 2]);

  await expect(runTraining(await config({ ...run, resumeFrom: 7 }), { store, gpu })).rejects.toThrow(
    /resumeFrom: found 7; allowed: .*those of steps 1, 2/,
  );
  const notices: string[] = [];
  const onNotice = (notice: string) => void notices.push(notice);
  const summary = await runTraining(await config({ ...run, resumeFrom: 2 }), { store, gpu, logger: { onNotice } });
  expect(notices).toContain('optimizer.learningRate was 1e+30 and is now 0.0002.');
  expect(summary.steps).toBe(6);
  // The same run as one that never went astray.
  const straight = createMemoryStore();
  await runTraining(await config(run), { store: straight, gpu });
  expect(await store.read('adapter_model.safetensors')).toEqual(await straight.read('adapter_model.safetensors'));
});

it('a checkpoint of finite numbers from which no step can be done is not the newest for long', async () => {
  const store = createMemoryStore();
  const run = { steps: 4, evalFraction: 0, schedule: constant, saveEvery: 1, keep: 1 };
  const stop = new AbortController();
  const onStep = ({ step }: StepRecord) => {
    if (step === 2) stop.abort();
  };
  await runTraining(await config(run), { store, gpu, signal: stop.signal, logger: { onStep } }).catch(() => undefined);
  // One more than `keep` until a step is done from the newest.
  expect(await steps(store)).toEqual([1, 2]);
  await enlarge(store, 2, 3e38);
  const error = await runTraining(await config({ ...run, resume: true }), { store, gpu }).catch((e: unknown) => e);
  expect(error).toBeInstanceOf(NonFiniteLossError);
  expect(error).toMatchObject({ step: 3, hint: expect.stringContaining('checkpoint 1') as string });
  expect(await steps(store)).toEqual([1]);
  expect(await runTraining(await config({ ...run, resume: true }), { store, gpu })).toMatchObject({ steps: 4 });
});

it.each([NaN, Infinity])('a checkpoint with %d in it is passed over, and it is said', async (value) => {
  const store = createMemoryStore();
  const run = { steps: 2, evalFraction: 0, saveEvery: 1 };
  await runTraining(await config(run), { store, gpu });
  await enlarge(store, 2, value);
  const notices: string[] = [];
  const onNotice = (notice: string) => void notices.push(notice);
  const again = await runTraining(await config({ ...run, resume: true }), { store, gpu, logger: { onNotice } });
  expect(again.steps).toBe(2);
  expect(notices.join()).toMatch(/step-00000002\.json cannot be used .* 'layers.*' that are not finite/);
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

it('no file and no message of a run holds what is secret in its addresses', async () => {
  const store = createMemoryStore();
  const heard: unknown[] = [];
  const logger = {
    onStart: (start: unknown) => void heard.push(start),
    onNotice: (notice: string) => void heard.push(notice),
    onFail: (error: unknown) => void heard.push((error as Error).message),
  };
  const address = 'https://me:SECRET@example.com/tiny/model.gguf?X-Amz-Signature=SECRET';
  const rows = Array.from({ length: 6 }, (_, i) =>
    JSON.stringify({ prompt: `Lamp ${i}`, completion: 'x'.repeat(20 * i + 1) }),
  );
  const given = await config({
    weightLoader: Object.assign(gemmaWeightLoader({ from: await chatModelSources() }), {
      description: address,
      baseModel: address,
      token: 'SECRET',
    }),
    data: { source: new File([rows.join('\n')], address), tooLong: 'skip' },
    evalFraction: 0.2,
  });
  await runTraining(given, { store, gpu, logger });
  const again = { ...given, resume: true, resumeFrom: null };
  await runTraining({ ...again, seed: 1 }, { store, gpu, logger }).catch((error: Error) => heard.push(error.message));
  await runTraining(again, { store, gpu, logger });
  expect(JSON.stringify(heard)).toContain('rows of more than 48 tokens were left out');
  expect(JSON.stringify(heard)).toContain('https://example.com/tiny/model.gguf');
  expect(JSON.stringify(heard)).not.toContain('SECRET');
  for (const { name } of await store.list())
    expect(new TextDecoder('latin1').decode(await store.read(name)), name).not.toContain('SECRET');
  expect(await readText(store, 'adapter_config.json')).toContain('https://example.com/tiny/model.gguf');
});
