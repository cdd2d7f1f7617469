// The step with the lowest evaluation loss: its checkpoint stays, can be exported, and ends a run that does not get better.
import { openGpu, type Gpu } from '@lapidary/gpu';
import {
  ConfigError,
  createMemoryStore,
  exportCheckpoint,
  ExportError,
  type FileStore,
  listCheckpoints,
  loadLatestCheckpoint,
  readCheckpointState,
  resolveTrainConfig,
  runTraining,
  saveCheckpoint,
  type TrainConfig,
} from '@lapidary/trainer';
import { gemmaWeightLoader, type JsonValue, type TensorData, type WeightLoader } from '@lapidary/weights';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { chatModelSources } from './support/fixture-sources.js';
import { sameBytes } from './support/same-bytes.js';

const steps = 12;
let gpu: Gpu;
let weightLoader: WeightLoader;
/** A run that was never stopped, and losses of its evaluations by step. */
let whole: Awaited<ReturnType<typeof train>>;
let best: number;

beforeAll(async () => {
  gpu = await openGpu();
  weightLoader = gemmaWeightLoader({ from: await chatModelSources() });
  whole = await train();
  best = lowest(whole.evals);
});
afterAll(() => gpu.destroy());

/** What is evaluated has little to do with what is learned: its loss soon rises. */
const config = (over: Partial<TrainConfig> = {}) =>
  resolveTrainConfig({
    weightLoader,
    data: {
      source: Array.from({ length: 8 }, (_, i) => ({ prompt: `The lamp ${i}`, completion: ` by the river ${i % 3}` })),
    },
    evalData: { source: [{ prompt: 'The lamp 9', completion: '%Q' }] },
    maxLength: 48,
    batchSize: 2,
    steps,
    lora: { rank: 4, alpha: 8 },
    optimizer: { learningRate: 3e-2 },
    schedule: { type: 'constant', warmupSteps: 0 },
    evalEvery: 1,
    saveEvery: 5,
    keep: 1,
    sampleCount: 0,
    outDir: 'memory',
    ...over,
  });

/** `stopAfter`: the signal comes after this step. */
async function train(
  over: Partial<TrainConfig> = {},
  { store = createMemoryStore(), stopAfter = 0 }: { store?: FileStore; stopAfter?: number } = {},
) {
  const evals = new Map<number, number>();
  const notices: string[] = [];
  const kept: (readonly number[])[] = [];
  const stop = new AbortController();
  const run = runTraining(config(over), {
    store,
    gpu,
    signal: stop.signal,
    logger: {
      onEval: ({ step, loss }) => void evals.set(step, loss),
      onNotice: (notice) => void notices.push(notice),
      onStep: ({ step }) => {
        if (step === stopAfter) stop.abort();
      },
      onCheckpoint: async () => void kept.push(await listCheckpoints(store)),
    },
  });
  if (stopAfter > 0) await run.catch(() => undefined);
  return { store, evals, notices, kept, summary: stopAfter > 0 ? null : await run };
}

/** Of the steps after the first: the model as it came is no step. */
const lowest = (evals: ReadonlyMap<number, number>) =>
  [...evals].filter(([step]) => step > 0).reduce((a, b) => (b[1] < a[1] ? b : a))[0];

const adapterOf = (store: FileStore) => store.read('adapter_model.safetensors');
const stateOf = async (store: FileStore) =>
  (await readCheckpointState(store))!.state as unknown as {
    best: { step: number; loss: number };
    stalled: { loss: number; evaluations: number };
  };
const exportBest = async (run: FileStore) => {
  const out = createMemoryStore();
  return { out, ...(await exportCheckpoint({ run, out, step: 'best', openBase: () => weightLoader })) };
};

it('stays beside the newest until a better one comes, and the end says which it was', async () => {
  expect(best).toBeGreaterThan(1);
  expect(best).toBeLessThan(steps - 3);
  expect(await listCheckpoints(whole.store)).toEqual([steps, best]);
  expect(whole.summary).toMatchObject({
    steps,
    best: { step: best, loss: whole.evals.get(best) },
    exportedStep: steps,
  });
  expect((await stateOf(whole.store)).best).toEqual(whole.summary!.best);
  // Whenever one is written, the best so far is among those that are there.
  for (const there of whole.kept) {
    const soFar = new Map([...whole.evals].filter(([step]) => step <= there[0]!));
    expect(there).toContain(lowest(soFar));
  }
});

it('is exported as its run would have ended there, from the folder or by the run itself', async () => {
  const there = await train({ steps: best });
  const { out, step } = await exportBest(whole.store);
  expect(step).toBe(best);
  expect(sameBytes(await adapterOf(out), await adapterOf(there.store))).toBe(true);
  expect(sameBytes(await adapterOf(out), await adapterOf(whole.store))).toBe(false);
  const exporting = await train({ keepBest: 'export' });
  expect(exporting.summary).toMatchObject({ steps, exportedStep: best });
  expect(sameBytes(await adapterOf(exporting.store), await adapterOf(out))).toBe(true);
  // Done again, without a step to take, it is the same.
  const again = await train({ keepBest: 'export', resume: true }, { store: exporting.store });
  expect(again.summary).toMatchObject({ steps, exportedStep: best });
  expect(sameBytes(await adapterOf(again.store), await adapterOf(out))).toBe(true);
});

it('a run stops early, says so, and goes on only when it may wait longer; all of it bit for bit', async () => {
  const patience = 3;
  const early = await train({ earlyStopping: { patience } });
  expect(early.summary).toMatchObject({ steps: best + patience, exportedStep: best + patience, best: { step: best } });
  expect(early.notices.join('\n')).toMatch(new RegExp(`Stopped early, after step ${best + patience}: 3 evaluations`));
  expect(await listCheckpoints(early.store)).toEqual([best + patience, best]);

  // Stopped in the middle of waiting, it waits no longer than it would have.
  const parts = await train({ earlyStopping: { patience } }, { stopAfter: best + 1 });
  expect((await stateOf(parts.store)).stalled.evaluations).toBe(1);
  const resumed = await train({ earlyStopping: { patience }, resume: true }, { store: parts.store });
  expect(resumed.summary?.steps).toBe(best + patience);
  expect(await stateOf(parts.store)).toEqual(await stateOf(early.store));
  expect(sameBytes(await adapterOf(parts.store), await adapterOf(early.store))).toBe(true);

  const done = await train({ earlyStopping: { patience }, resume: true }, { store: early.store });
  expect(done.summary?.steps).toBe(best + patience);
  expect(done.notices.join('\n')).toMatch(/was stopped early after step \d+ already/);

  const longer = await train({ earlyStopping: { patience: 99 }, resume: true }, { store: early.store });
  expect(longer.summary).toMatchObject({ steps, best: whole.summary!.best });
  expect(sameBytes(await adapterOf(early.store), await adapterOf(whole.store))).toBe(true);
  expect(await listCheckpoints(early.store)).toEqual([steps, best]);
});

it('an evaluation that was cut short by the stop is made up for', async () => {
  const store = createMemoryStore();
  await train({ steps: best, keep: 99 }, { store });
  // As a signal in the middle of the evaluation of step `best` leaves it: the step is done, and the evaluation before is the last.
  const [newest, before] = [
    (await loadLatestCheckpoint(store))!,
    await loadLatestCheckpoint(store, { atMost: best - 1 }),
  ];
  expect(before?.step).toBe(best - 1);
  const { evaluated, best: lastBest, stalled } = before!.state as Readonly<Record<string, JsonValue>>;
  const tensors = new Map<string, TensorData>();
  for (const [name, { dtype, shape, read }] of newest.tensors) tensors.set(name, { dtype, shape, bytes: await read() });
  const state = { ...(newest.state as object), evaluated: evaluated!, best: lastBest!, stalled: stalled! };
  await saveCheckpoint(store, best, { tensors, state }, { newest: 99 });
  const { summary, evals } = await train({ resume: true }, { store });
  expect([...evals.keys()]).toEqual(Array.from({ length: steps - best + 1 }, (_, i) => best + i));
  expect(summary?.best).toEqual(whole.summary!.best);
  expect(await stateOf(store)).toEqual(await stateOf(whole.store));
  expect(await listCheckpoints(store)).toEqual([steps, best]);
});

it('a run that goes back before its best finds it again; one that has lost the best looks for another, and says so', async () => {
  const store = createMemoryStore();
  await train({ keep: 99 }, { store });
  const before = (await listCheckpoints(store)).find((step) => step < best)!;
  const again = await train({ resumeFrom: before, keep: 99 }, { store });
  expect(again.summary?.best).toEqual(whole.summary!.best);
  expect(again.notices.join('\n')).not.toContain('no checkpoint any more');
  await store.remove(`checkpoints/step-${String(best).padStart(8, '0')}.json`);
  const after = (await listCheckpoints(store)).findLast((step) => step > best)!;
  const other = await train({ resumeFrom: after }, { store });
  expect(other.notices.join('\n')).toContain(`no checkpoint any more of step ${best}`);
  const left = lowest(new Map([...whole.evals].filter(([step]) => step > after)));
  expect(other.summary?.best).toEqual({ step: left, loss: whole.evals.get(left) });
  expect(await listCheckpoints(store)).toContain(left);
});

it('none is kept where none is wanted, and then there is none to export', async () => {
  const { store, summary } = await train({ keepBest: 'never', steps: best + 1 });
  expect(await listCheckpoints(store)).toEqual([best + 1]);
  expect(summary?.best).toBeNull();
  await expect(exportBest(store)).rejects.toThrow(ExportError);
  await expect(exportBest(store)).rejects.toThrow(/knows no best checkpoint/);
});

it.each([
  ['earlyStopping', { earlyStopping: { patience: 2 } }],
  ['keepBest', { keepBest: 'export' }],
] as const)('%s without rows to evaluate on is refused', async (field, over) => {
  const refused = train({ ...over, evalData: null, evalFraction: 0 });
  await expect(refused).rejects.toThrow(ConfigError);
  await expect(refused).rejects.toThrow(new RegExp(`${field}: found .*only with rows to evaluate on`));
});

it('a checkpoint of the best that is damaged is not exported as if it were whole', async () => {
  const store = createMemoryStore();
  await train({ steps: best + 2 }, { store });
  const name = (await store.list('checkpoints/')).map((file) => file.name);
  const tensors = name.find((each) => each.includes(`step-${String(best).padStart(8, '0')}.`) && each.endsWith('rs'))!;
  const bytes = (await store.read(tensors)).slice();
  bytes[bytes.length - 1]! ^= 1;
  await store.write(tensors, bytes);
  await expect(exportBest(store)).rejects.toThrow(/damaged|whole/);
  await expect(train({ steps: best + 2, keepBest: 'export', resume: true }, { store })).rejects.toThrow(
    /damaged|whole/,
  );
});
