// A table that stays on the host: runs and answers are what they are with the table on the device, bit for bit.
import { Embedder, planGeneration } from '@lapidary/gemma';
import { openGpu, type Gpu } from '@lapidary/gpu';
import {
  ConfigError,
  countParameters,
  createMemoryStore,
  exportCheckpoint,
  listCheckpoints,
  prepareRun,
  resolveTrainConfig,
  runTraining,
  TrainingInterruptedError,
  type FileStore,
  type TrainConfig,
} from '@lapidary/trainer';
import { bufferSource, openSafetensors, WeightSourceError } from '@lapidary/weights';
import { evaluateModel, TextModel } from 'lapidary';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { tableFiles, tableLoader, tableTensors, type TableOptions } from './support/host-table.js';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterEach(() => expect(gpu.counters.bytes).toBe(0));
afterAll(() => gpu.destroy());

const rows = Array.from({ length: 6 }, (_, i) => ({ prompt: `The lamp ${i}`, completion: ` by the river ${i % 3}` }));

async function config(options: TableOptions, over: Partial<TrainConfig> = {}, makesVectors = false) {
  return resolveTrainConfig({
    weightLoader: tableLoader(await tableFiles(options), { makesVectors }),
    data: { source: rows },
    maxLength: 32,
    batchSize: 2,
    steps: 3,
    lora: { rank: 2, alpha: 4 },
    sampleCount: 0,
    outDir: 'memory',
    ...over,
  });
}

interface TrainOptions {
  readonly makesVectors?: boolean;
  readonly store?: FileStore;
  /** The signal comes after this step. */
  readonly stopAfter?: number;
}

/** Everything that a run tells in numbers and answers. */
async function train(
  options: TableOptions,
  over: Partial<TrainConfig> = {},
  { makesVectors = false, store = createMemoryStore(), stopAfter }: TrainOptions = {},
) {
  const told: number[] = [];
  const losses: number[] = [];
  const notices: string[] = [];
  const answers: string[] = [];
  const stop = new AbortController();
  const run = runTraining(await config(options, over, makesVectors), {
    store,
    gpu,
    signal: stop.signal,
    logger: {
      onNotice: (notice) => void notices.push(notice),
      onStep: ({ step, loss, gradNorm }) => {
        told.push(loss, gradNorm);
        losses.push(loss);
        if (step === stopAfter) stop.abort();
      },
      onEval: ({ loss }) => void told.push(loss),
      onSample: ({ answer }) => void answers.push(answer),
    },
  });
  if (stopAfter === undefined) await run;
  else await expect(run).rejects.toBeInstanceOf(TrainingInterruptedError);
  return { told, losses, notices, answers, store };
}

const pairs = Array.from({ length: 6 }, (_, i) => ({ anchor: `lamp ${i}`, positive: `river ${i}` }));
const preferences = rows.map(({ prompt, completion }) => ({ prompt, chosen: completion, rejected: ' The' }));

it.each<[string, TableOptions, Partial<TrainConfig>, boolean?]>([
  [
    'a LoRA with evaluations and samples, bf16',
    { isOnHost: true },
    { evalFraction: 0.2, evalEvery: 2, sampleCount: 1, sampleTokens: 3 },
  ],
  [
    'micro-batches of packed rows, blocks computed again, q4_k',
    { isOnHost: true, dtype: 'q4_k', rowWidth: 256 },
    { gradientAccumulation: 2, batchSize: 1, packing: true, gradientCheckpointing: true },
  ],
  [
    'preferences, q8_0',
    { isOnHost: true, dtype: 'q8_0' },
    { objective: { type: 'dpo' }, data: { source: preferences }, steps: 2 },
  ],
  [
    'a loss of all micro-batches of a step',
    { isOnHost: true },
    {
      objective: { type: 'contrastive' },
      data: { source: pairs },
      gradientAccumulation: 2,
      evalFraction: 0.3,
      steps: 2,
    },
    true,
  ],
])('%s', async (_, options, over, makesVectors = false) => {
  const device = await train({ ...options, isOnHost: false }, over, { makesVectors });
  const host = await train(options, over, { makesVectors });
  expect(host.told.length).toBeGreaterThanOrEqual(4);
  expect(host.told.every(Number.isFinite)).toBe(true);
  expect(host.told).toEqual(device.told);
  expect(host.answers).toEqual(device.answers);

  const merged = [];
  for (const [{ store }, isOnHost] of [
    [device, false],
    [host, true],
  ] as const) {
    const base = tableLoader(await tableFiles({ ...options, isOnHost }), { makesVectors });
    const out = createMemoryStore();
    await exportCheckpoint({ run: store, out, form: { to: 'merged' }, openBase: () => base });
    merged.push(await out.read('model.safetensors'));
  }
  expect(merged[1]).toEqual(merged[0]);
});

it('an adapter knows the table that it was trained over', async () => {
  const { store } = await train({ isOnHost: true }, { steps: 1 });
  const files = ['adapter_config.json', 'adapter_model.safetensors'];
  const adapter = await Promise.all(files.map(async (name) => bufferSource(name, await store.read(name))));
  const open = async (seed?: number) =>
    TextModel.open(tableLoader(await tableFiles({ isOnHost: true, ...(seed && { seed }) })), { gpu, adapter });
  (await open()).destroy();
  await expect(open(9)).rejects.toMatchObject({ name: 'BaseMismatchError', tensors: ['rows.weight'] });
});

it('a model that is trained whole keeps the table, says so, and can be stopped and gone on with', async () => {
  const whole = { lora: null, steps: 4, saveEvery: 2 };
  const device = await train({ isOnHost: false }, { ...whole, freeze: ['rows.weight'] });
  const host = await train({ isOnHost: true }, whole);
  expect(host.told).toEqual(device.told);
  expect(host.notices.filter((notice) => notice.startsWith('rows.weight'))).toEqual([
    expect.stringMatching(/^rows\.weight \(11\d KiB\) stays in its file, .* it is not trained\.$/),
  ]);
  const store = createMemoryStore();
  const first = await train({ isOnHost: true }, whole, { store, stopAfter: 2 });
  const rest = await train({ isOnHost: true }, { ...whole, resume: true }, { store });
  expect([...first.told, ...rest.told]).toEqual(host.told);

  // What was trained is exported with the table as it was, from the run and from its checkpoint.
  const [of, out] = [host.store, createMemoryStore()];
  const base = tableLoader(await tableFiles({ isOnHost: true }));
  await exportCheckpoint({ run: of, out, openBase: () => base });
  const files = await Promise.all([of, out, device.store].map((each) => each.read('model.safetensors')));
  const tensors = await Promise.all(
    files.map(async (bytes) => (await openSafetensors(bufferSource('', bytes))).tensors),
  );
  for (const [i, each] of tensors.entries()) {
    const { offset, byteLength } = each.get('pebble.rows.weight')!;
    expect(files[i]!.slice(offset, offset + byteLength)).toEqual(
      tableTensors({ isOnHost: true }).get('rows.weight')!.bytes,
    );
  }
  expect(files[0]).toEqual(files[2]);
  expect(files[1]).toEqual(files[0]);
});

it('a row that cannot be read ends a run with what was learned before it, and it can be gone on with', async () => {
  const over = { steps: 4, batchSize: 1, saveEvery: 4 };
  const words = ['%Q', 'river', 'stone', 'lamp', 'zebra', 'xylophone'];
  const data = { source: words.map((word) => ({ prompt: `The ${word}`, completion: ` ${word} by ${word}` })) };
  const files = await tableFiles({ isOnHost: true });
  let isGone = false;
  const gone = files.map((file) => ({
    ...file,
    read: async (...range: Parameters<typeof file.read>) => {
      if (isGone) throw new WeightSourceError(file.name, 'is gone.');
      return file.read(...range);
    },
  }));
  const store = createMemoryStore();
  const losses: number[] = [];
  const failing = runTraining(
    { ...(await config({ isOnHost: true }, { ...over, data })), weightLoader: tableLoader(gone) },
    {
      store,
      gpu,
      logger: {
        onStep: ({ step, loss }) => {
          losses.push(loss);
          isGone = step === 1;
        },
      },
    },
  );
  await expect(failing).rejects.toMatchObject({ name: 'WeightSourceError' });
  // Those of the next step were on their way already.
  const [saved] = await listCheckpoints(store);
  expect(saved).toBeGreaterThanOrEqual(2);
  const rest = await train({ isOnHost: true }, { ...over, data, resume: true }, { store });
  const whole = await train({ isOnHost: true }, { ...over, data });
  expect([...losses, ...rest.losses]).toEqual(whole.losses);
});

it('a table on the host counts as input alone, and is never trained by name', async () => {
  const plan = async (isOnHost: boolean, over: Partial<TrainConfig> = {}) => {
    const prepared = await prepareRun(await config({ isOnHost }, over), null);
    await prepared.close();
    return prepared;
  };
  const [device, host] = [await plan(false), await plan(true)];
  expect(host.model.host).toMatchObject({ dtype: 'bf16', bytes: 600 * 96 * 2, isLeftOut: false });
  expect(device.model.host).toBeNull();
  expect(countParameters(host.model)).toEqual(countParameters(device.model));
  const bytes = ({ plan: { memory } }: typeof host, category: RegExp) =>
    memory.find((entry) => category.test(entry.category))!.bytes;
  expect(bytes(device, /Weights/) - bytes(host, /Weights/)).toBe(600 * 96 * 2);
  // All programs share one.
  const tokens = Math.max(...host.task.shapes(host.data.train).map(({ batch, length }) => batch * length));
  const more = bytes(host, /Inputs/) - bytes(device, /Inputs/);
  expect(more).toBeGreaterThanOrEqual(tokens * 96 * 2);
  expect(more).toBeLessThan(tokens * 96 * 2 + 10_000);

  for (const over of [
    { lora: null, trainable: ['rows.weight'] },
    { lora: null, trainable: ['words.weight', 'ro*.weight'] },
    { lora: { rank: 2, modulesToSave: ['rows'] } },
  ])
    await expect(plan(true, over)).rejects.toMatchObject({
      name: ConfigError.name,
      message: expect.stringMatching(/which is rows\.weight; allowed: other parameters: .* never trained/),
    });
  // With others, or frozen by name.
  expect((await plan(true, { lora: null, trainable: ['*.weight'] })).model.host?.isLeftOut).toBe(true);
  expect((await plan(true, { lora: null, freeze: ['rows.weight'] })).model.host?.isLeftOut).toBe(false);
});

/** The same model twice, and how often the files of the one with a table on the host were closed. */
async function openBoth(options: Omit<TableOptions, 'isOnHost'> = {}, makesVectors = false) {
  let closed = 0;
  const open = async (isOnHost: boolean) => {
    const loader = tableLoader(await tableFiles({ ...options, isOnHost }), { makesVectors });
    const noted = {
      open: async () => {
        const weights = await loader.open();
        return { ...weights, close: async () => void closed++ };
      },
    };
    return TextModel.open(isOnHost ? noted : loader, { gpu });
  };
  return { device: await open(false), host: await open(true), closed: () => closed };
}

it('answers, their steps taken together, conversations that go on, and evaluations', async () => {
  const { device, host, closed } = await openBoth();
  const made = await Promise.all(
    [device, host].map(async (model) => {
      const session = model.openSession({ rows: 2, maxLength: 48, reusesPrefix: true });
      const answer = async (prompt: string) => {
        let text = '';
        for await (const part of session.answer(prompt, { maxNewTokens: 5, temperature: 1 })) text += part;
        return text;
      };
      const together = await Promise.all([answer('The lamp'), answer('The river and the lamp')]);
      const longer = await answer('The river and the lamp by the river and the lamp by the river');
      const measured = await evaluateModel(
        model,
        { source: rows, named: { model: 'm', data: 'd' } },
        { batchSize: 2, maxTokens: 2 },
      );
      await session.destroy();
      return { together, longer, ...measured.variants[0], seconds: 0 };
    }),
  );
  expect(made[1]).toEqual(made[0]);
  expect(made[0]!.together.join('').length).toBeGreaterThan(2);
  expect(() => planGeneration(gpu.profile, host.params(), host.model, { maxLength: 8 })).toThrow(
    /give `hostRows` of the opened weights/,
  );
  expect(closed()).toBe(0);
  device.destroy();
  host.destroy();
  expect(closed()).toBe(1);
});

it('vectors of texts, q8_0', async () => {
  const { device, host } = await openBoth({ dtype: 'q8_0' }, true);
  const texts = ['The lamp', 'by the river', 'The'];
  const made: unknown[] = [];
  for (const { model, params, tokenizer, hostRows } of [device, host].map((each) => ({
    model: each.model,
    params: each.params(),
    tokenizer: each.tokenizer,
    hostRows: each.hostRows,
  }))) {
    const embedder = new Embedder(gpu, { model, params, tokenizer, hostRows }, { batchSize: 2 });
    made.push((await embedder.embed(texts)).vectors);
    await embedder.destroy();
  }
  expect(made[1]).toEqual(made[0]);
  device.destroy();
  host.destroy();
});
