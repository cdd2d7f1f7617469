// A run that goes on is the one that was begun: the same data, tokenizer, model and weights, or an error that says which differs.
import { type Gpu, openGpu } from '@lapidary/gpu';
import {
  createMemoryStore,
  type FileStore,
  listCheckpoints,
  loadLatestCheckpoint,
  ResumeMismatchError,
  resolveTrainConfig,
  runTraining,
  saveCheckpoint,
  type TrainConfig,
} from '@lapidary/trainer';
import { bufferSource, type ByteSource, gemmaWeightLoader, type JsonValue, type TensorData } from '@lapidary/weights';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { chatModelSources } from './support/fixture-sources.js';

const rows = Array.from({ length: 8 }, (_, i) => ({ prompt: `The lamp ${i}`, completion: ` by the river ${i}` }));
const fileOf = (lines: readonly object[], before = '') =>
  new File([before + lines.map((line) => JSON.stringify(line)).join('\n')], 'rows.jsonl');

let sources: readonly ByteSource[];
let gpu: Gpu;
let begun: FileStore;

const config = (over: Partial<TrainConfig> = {}, from: readonly ByteSource[] = sources) =>
  resolveTrainConfig({
    weightLoader: gemmaWeightLoader({ from }),
    data: { source: fileOf(rows) },
    evalFraction: 0.3,
    maxLength: 48,
    batchSize: 2,
    steps: 2,
    sampleCount: 0,
    outDir: 'memory',
    ...over,
  });

beforeAll(async () => {
  sources = await chatModelSources();
  gpu = await openGpu();
  begun = createMemoryStore();
  await runTraining(config(), { store: begun, gpu });
});
afterAll(() => gpu.destroy());

async function resume(over: Partial<TrainConfig> = {}, from = sources, store = begun) {
  const notices: string[] = [];
  const summary = await runTraining(config({ resume: true, ...over }, from), {
    store,
    gpu,
    logger: { onNotice: (notice) => void notices.push(notice) },
  });
  return { summary, notices };
}

/** The model's files with another text in one of them. */
async function withText(name: string, change: (text: string) => string): Promise<readonly ByteSource[]> {
  return Promise.all(
    sources.map(async (source) => {
      if (source.name !== name) return source;
      const text = new TextDecoder().decode(await source.read(0, source.size));
      return bufferSource(name, new TextEncoder().encode(change(text)));
    }),
  );
}

it('the same of everything: it goes on, without a word', async () => {
  const { summary, notices } = await resume();
  expect(summary.steps).toBe(2);
  expect(notices.join('\n')).not.toMatch(/not known|differ/);
});

it('the same rows on other lines, from another file, are the same data', async () => {
  await resume({ data: { source: new File([`\n\n${await fileOf(rows).text()}`], 'moved.jsonl') } });
});

const replaced = (at: number, row: object) => rows.with(at, row as (typeof rows)[number]);

it.each([
  ['a word of a completion', replaced(2, { prompt: 'The lamp 2', completion: ' by the rivet 2' })],
  ['a word of a prompt', replaced(5, { prompt: 'The lamb 5', completion: ' by the river 5' })],
  ['one row more', [...rows, { prompt: 'One', completion: ' more' }]],
  ['one row less', rows.slice(0, -1)],
  ['two rows exchanged', replaced(0, rows[1]!).with(1, rows[0]!)],
])('other data (%s) is refused, and called that', async (_, changed) => {
  const refused = resume({ data: { source: fileOf(changed) } });
  await expect(refused).rejects.toThrow(ResumeMismatchError);
  await expect(refused).rejects.toThrow(/\b(data|evalData): saved "[0-9a-f]{16}", now "[0-9a-f]{16}"/);
});

/** The keys of all objects the other way round. */
const turned = (value: unknown): unknown =>
  Array.isArray(value)
    ? value.map(turned)
    : typeof value === 'object' && value !== null
      ? Object.fromEntries(
          Object.entries(value)
            .reverse()
            .map(([key, each]) => [key, turned(each)]),
        )
      : value;

it.each([
  ['tokenizer.json', 'a blank at its end', (text: string) => `${text} `],
  ['tokenizer.json', 'no blanks', (text: string) => JSON.stringify(JSON.parse(text))],
  ['tokenizer.json', 'wide', (text: string) => JSON.stringify(JSON.parse(text), null, 4)],
  ['tokenizer.json', 'keys the other way round', (text: string) => JSON.stringify(turned(JSON.parse(text)))],
  ['tokenizer.json', 'letters by their codes', (text: string) => text.replaceAll('▁', '\\u2581')],
  ['tokenizer_config.json', 'keys the other way round', (text: string) => JSON.stringify(turned(JSON.parse(text)))],
])('the same %s in another spelling (%s) is the same tokenizer', async (name, _, change) => {
  const { summary, notices } = await resume({}, await withText(name, change));
  expect(summary.steps).toBe(2);
  expect(notices.join('\n')).not.toMatch(/not known|differ/);
});

/** A tokenizer's JSON with two of its merges, or its vocabulary's ids, exchanged. */
const withModel = (text: string, change: (model: { merges: unknown[]; vocab: Record<string, number> }) => void) => {
  const json = JSON.parse(text) as { model: { merges: unknown[]; vocab: Record<string, number> } };
  change(json.model);
  return JSON.stringify(json);
};

it.each([
  [
    'tokenizer.json',
    (text: string) =>
      withModel(text, ({ merges }) => {
        [merges[0], merges[1]] = [merges[1], merges[0]];
      }),
    /^ {2}tokenizer: saved/m,
  ],
  [
    'tokenizer.json',
    (text: string) =>
      withModel(text, ({ vocab }) => {
        const [a, b] = Object.keys(vocab).slice(400, 402) as [string, string];
        [vocab[a], vocab[b]] = [vocab[b]!, vocab[a]!];
      }),
    /^ {2}tokenizer: saved/m,
  ],
  [
    'tokenizer_config.json',
    (text: string) => JSON.stringify({ ...JSON.parse(text), model_max_length: 7 }),
    /^ {2}tokenizer: saved/m,
  ],
  [
    'config.json',
    (text: string) => JSON.stringify({ ...JSON.parse(text), sliding_window: 12345 }),
    /model\.\w+: saved [\d.]+, now 12345/,
  ],
  [
    'config.json',
    (text: string) => JSON.stringify({ ...JSON.parse(text), rms_norm_eps: 1e-3 }),
    /model\.\w+: saved [\d.e-]+, now 0\.001/,
  ],
])('another %s is refused, and called that', async (name, change, message) => {
  const refused = resume({}, await withText(name, change));
  await expect(refused).rejects.toThrow(ResumeMismatchError);
  await expect(refused).rejects.toThrow(message);
});

it.each([0, 0.5, 1])('one bit of the weights is refused, wherever it is (%d of the file)', async (where) => {
  const changed = await Promise.all(
    sources.map(async (source) => {
      if (source.name !== 'model.safetensors') return source;
      const bytes = (await source.read(0, source.size)).slice();
      const header = 8 + Number(new DataView(bytes.buffer).getBigUint64(0, true));
      // The lowest bit of a value.
      const at =
        header + Math.min(Math.floor(((bytes.length - header) * where) / 4), (bytes.length - header) / 4 - 1) * 4;
      bytes[at]! ^= 1;
      return bufferSource(source.name, bytes);
    }),
  );
  const refused = resume({}, changed);
  await expect(refused).rejects.toThrow(ResumeMismatchError);
  await expect(refused).rejects.toThrow(/^ {2}weights: saved "4:[0-9a-f]{16}", now "4:[0-9a-f]{16}"$/m);
});

it('a run of an earlier version, which kept nothing of it, goes on with a notice', async () => {
  const store = await copyOf(begun, ({ identity: _, evaluated: __, best: ___, stalled: ____, ...state }) => ({
    ...state,
    weights: '12345678',
  }));
  const { summary, notices } = await resume({}, sources, store);
  expect(summary.steps).toBe(2);
  expect(notices.join('\n')).toMatch(/earlier version, .* data, tokenizer, model and weights: .* not known/);
});

it('another device than before: it goes on, and says so', async () => {
  const store = await copyOf(begun, (state) => ({ ...state, kernels: { device: 'an abacus', choices: {} } }));
  expect((await resume({}, sources, store)).notices.join('\n')).toMatch(
    /another device before \(an abacus\).*last digits/,
  );
});

const filesOf = async (store: FileStore) =>
  Object.fromEntries(await Promise.all((await store.list()).map(async ({ name }) => [name, await store.read(name)])));

it.each([
  ['other data', { resume: true, data: { source: fileOf(rows.slice(1)) }, keep: 7 }],
  [
    'other data, and another rate',
    { resumeFrom: 2, data: { source: fileOf(rows.slice(1)) }, optimizer: { learningRate: 1 } },
  ],
  ['data that is none, over the run', { resume: false, overwrite: true, data: { source: fileOf([{ wrong: 1 }]) } }],
  [
    'a model that is none, over the run',
    { resume: false, overwrite: true, weightLoader: gemmaWeightLoader({ from: [] }) },
  ],
])('a run that is refused (%s) leaves every file of the folder as it was', async (_, over) => {
  const store = await copyOf(begun, (state) => state);
  const before = await filesOf(store);
  await expect(resume(over, sources, store)).rejects.toThrow();
  expect(await filesOf(store)).toEqual(before);
  expect((await resume({}, sources, store)).summary.steps).toBe(2);
});

it('model and rows may have moved: what is in them counts', async () => {
  const store = await copyOf(begun, (state) => state);
  const moved = Object.assign(gemmaWeightLoader({ from: sources }), { description: '/another/place' });
  const { notices } = await resume({ weightLoader: moved }, sources, store);
  expect(notices.join('\n')).toMatch(/weightLoader.* was .* and is now "\/another\/place"/);
});

/** A run folder whose checkpoints know something else. */
async function copyOf(
  from: FileStore,
  change: (state: Readonly<Record<string, JsonValue>>) => Readonly<Record<string, JsonValue>>,
): Promise<FileStore> {
  const store = createMemoryStore();
  for (const { name } of await from.list())
    if (!name.startsWith('checkpoints/')) await store.write(name, await from.read(name));
  for (const step of [...(await listCheckpoints(from))].reverse()) {
    const found = (await loadLatestCheckpoint(from, { atMost: step }))!;
    const tensors = new Map<string, TensorData>();
    for (const [name, { dtype, shape, read }] of found.tensors)
      tensors.set(name, { dtype, shape, bytes: await read() });
    const state = found.state as Readonly<Record<string, JsonValue>>;
    await saveCheckpoint(store, step, { tensors, state: change(state) }, { newest: 9 });
  }
  return store;
}
