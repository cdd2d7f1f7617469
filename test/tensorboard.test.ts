// Files for TensorBoard are those that Python's tensorboardX writes of the same events, record by record.
import { createMemoryStore, createTensorBoardLogger, type RunStart, type StepRecord } from '@lapidary/trainer';
import { expect, it } from 'vitest';
import { fixtureBytes } from './support/safetensors-fixture.js';

/** The wall time of every event, ms. */
const wallTime = 1_767_323_045_250;
const now = () => wallTime;

const startOf = (startStep: number, config: RunStart['config'] = {}): RunStart => ({
  config,
  totalSteps: 300,
  startStep,
  baseEvalLoss: null,
  trainRows: 1,
  evalRows: 1,
  adapter: { vendor: '', architecture: '', backend: '' },
  memory: [],
  load: null,
  startedAt: '',
});
const config = { name: 'a|b', lora: { rank: 8, layers: null }, steps: 300 };

const stepOf = (step: number, loss: number, metrics?: Record<string, number>): StepRecord => ({
  step,
  epoch: 0,
  loss,
  evalLoss: null,
  learningRate: 2e-4,
  gradNorm: 0.5,
  tokensPerSecond: 1234.5,
  stepMs: 1,
  peakBytes: 1,
  ...(metrics && { metrics }),
});

/** Its records: lengths and CRCs included. */
function recordsOf(bytes: Uint8Array): string[] {
  const records: string[] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at < bytes.length; ) {
    const end = at + 16 + Number(view.getBigUint64(at, true));
    records.push([...bytes.subarray(at, end)].map((byte) => byte.toString(16).padStart(2, '0')).join(''));
    at = end;
  }
  return records;
}

it('a run, and the same run resumed', async () => {
  const store = createMemoryStore();
  const first = createTensorBoardLogger(store, { now });
  await first.onStart?.(startOf(0, config));
  await first.onEval?.({ step: 0, loss: 3.25, rows: 1, seconds: 1, metrics: { accuracy: 0 } });
  await first.onSample?.({
    step: 0,
    id: 'line 3',
    prompt: 'What is 2 | 2?',
    answer: '```\n4 é水\n```',
    expected: null,
  });
  for (const n of [1, 2, 300]) await first.onStep?.(stepOf(n, 3 / n, { 'rewards/margin': -0.125 }));
  await first.onEval?.({ step: 300, loss: Number.NaN, rows: 1, seconds: 1, metrics: { accuracy: 0.75 } });
  const second = createTensorBoardLogger(store, { now });
  await second.onStart?.(startOf(1, config));
  await second.onStep?.(stepOf(2, 0.7));
  await second.onEval?.({ step: 2, loss: 0.6, rows: 1, seconds: 1, metrics: { accuracy: 1 } });

  // Read in the order of their names, also where a second has not gone by.
  const names = (await store.list()).map(({ name }) => name);
  expect(names).toEqual([
    'tensorboard/events.out.tfevents.1767323045.lapidary',
    'tensorboard/events.out.tfevents.1767323046.lapidary',
  ]);
  expect(recordsOf(await store.read(names[0]!))).toEqual(recordsOf(await fixtureBytes('tensorboard/first.tfevents')));
  // tensorboardX names the file's version twice.
  const [version, , ...rest] = recordsOf(await fixtureBytes('tensorboard/second.tfevents'));
  expect(recordsOf(await store.read(names[1]!))).toEqual([version, ...rest]);
});

it('a run that begins anew in the folder drops all of the one before', async () => {
  const store = createMemoryStore();
  for (let i = 0; i < 2; i++) await createTensorBoardLogger(store, { now }).onStart?.(startOf(0));
  const files = await Promise.all((await store.list()).map(({ name }) => store.read(name)));
  expect(files.map((bytes) => recordsOf(bytes).length)).toEqual([2, 3]);
});

it('nothing is written before a run begins, and a clock that was put back changes no order', async () => {
  const store = createMemoryStore();
  await createTensorBoardLogger(store).onStep?.(stepOf(1, 1));
  expect(await store.list()).toEqual([]);
  await createTensorBoardLogger(store, { now }).onStart?.(startOf(0));
  await createTensorBoardLogger(store, { now: () => 5000 }).onStart?.(startOf(0));
  expect((await store.list()).map(({ name }) => name.split('.').at(-2))).toEqual(['1767323045', '1767323046']);
});

it('names of metrics and rows become tags', async () => {
  const store = createMemoryStore();
  const logger = createTensorBoardLogger(store, { now });
  await logger.onStart?.(startOf(0));
  await logger.onEval?.({ step: 1, loss: 1, rows: 1, seconds: 1, metrics: { 'größe (m²)': 1 } });
  const [file] = await store.list();
  expect(new TextDecoder().decode(await store.read(file!.name))).toContain('eval/größe__m²_');
});
