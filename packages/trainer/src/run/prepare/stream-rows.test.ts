// Rows that are streamed are those that are read at once: the same batches, notices and errors, wherever they are kept.
import { openSpill } from '#run-files';
import { openGpu, type Gpu } from '@lapidary/gpu';
import { gemmaWeightLoader } from '@lapidary/weights';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chatModelSources } from '../../../../../test/support/fixture-sources.js';
import { resolveTrainConfig } from '../../config/resolve-train-config.js';
import type { TrainConfig } from '../../config/train-config.js';
import { ByteStore } from '../../data/byte-store.js';
import { completion, type CompletionTask } from '../../objectives/completion/completion.js';
import { parseRow, type TextualRow } from '../../objectives/completion/rows.js';
import { documentsOf, type Example, type RunData } from '../../objectives/objective.js';
import { createMemoryStore } from '../../store/memory-store.js';
import { fingerprintExample } from '../identity.js';
import { batchesOfStep } from '../train/batches.js';
import { runTraining } from '../train/run-training.js';
import { openData, type ReadProgress } from './open-data.js';
import { openModel, type OpenModel } from './open-model.js';
import { bindTask } from './prepare-run.js';

let open: OpenModel;
let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
  open = await openModel(gemmaWeightLoader({ from: await chatModelSources() }));
  await open.weights.close();
});

afterAll(() => gpu.destroy());

const turn = (role: string, content: string, more: object = {}) => ({ role, content, ...more });
const rowOf = (i: number): object =>
  [
    { prompt: `The lamp ${i}`, completion: ` by the river ${'over '.repeat(i % 7)}` },
    { text: `水 by the river ${i} 👋 ${'and '.repeat(i % 23)}` },
    { messages: [turn('user', `a ${i}`), turn('assistant', 'b'), turn('user', 'c'), turn('assistant', `lamp ${i}`)] },
    { messages: [turn('user', 'a', { weight: 0 }), turn('assistant', `b ${i}`, { weight: 1 })] },
  ][i % 4]!;
const rows = Array.from({ length: 90 }, (_, i) => rowOf(i));
const fileOf = (lines: readonly object[]) =>
  new File([lines.map((line) => JSON.stringify(line)).join('\n')], 'rows.jsonl');

const configOf = (over: Partial<TrainConfig> = {}) =>
  resolveTrainConfig({
    weightLoader: gemmaWeightLoader({ from: [] }),
    data: { source: fileOf(rows) },
    evalFraction: 0.2,
    maxLength: 64,
    batchSize: 4,
    gradientAccumulation: 2,
    ...over,
  });
type Config = ReturnType<typeof configOf>;
const taskOf = (config: Config) => bindTask(config, open.model, 'safetensors') as unknown as CompletionTask;

/** Every batch of an epoch, and of the rows held out. */
async function batchesOf(config: Config, data: RunData) {
  const task = bindTask(config, open.model, 'safetensors');
  const stepsPerEpoch = Math.ceil(data.train.length / 8);
  const prepared = { config, data, task, schedule: { stepsPerEpoch } } as Parameters<typeof batchesOfStep>[1];
  const batches = [];
  for (let step = 0; step < stepsPerEpoch; step++)
    batches.push(...(await batchesOfStep(step, prepared, task.shapes(data.train))));
  if (data.held.length > 0)
    for (let i = 0; i < data.held.length; i += 4)
      batches.push(await task.collate(data.held.slice(i, i + 4), task.shapes(data.held)));
  return batches;
}

/** As `openData` streams, but into pieces so small that all is spilled. */
async function spilled(config: Config): Promise<RunData> {
  const store = new ByteStore(openSpill, { pieceBytes: 64, pieces: 0 });
  const readImage = () => Promise.reject(new Error('there are no pictures'));
  const stream = taskOf(config).stream!({
    tokenizer: open.tokenizer,
    readImage,
    store,
    fingerprint: fingerprintExample,
  });
  const examples = [];
  for (const [i, row] of rows.entries()) {
    const added = stream.add(parseRow(row, 'rows.jsonl', i + 1), { file: 'rows.jsonl', options: config.data });
    if (added) examples.push(added);
    await store.drain();
  }
  const nothing = { examples: [], rows: 0, file: 'rows.jsonl' };
  return stream.finish({ examples, rows: rows.length, file: 'rows.jsonl' }, nothing);
}

describe.each<[string, Partial<TrainConfig>]>([
  ['as they come', {}],
  ['all of them learned', { data: { source: fileOf(rows), lossOn: 'all' } }],
  ['long ones cut', { maxLength: 24, data: { source: fileOf(rows), tooLong: 'truncate' } }],
  ['long ones left out', { maxLength: 24, data: { source: fileOf(rows), tooLong: 'skip' } }],
  ['packed', { packing: true }],
  ['packed, none held out', { packing: true, evalFraction: 0 }],
  ['evaluated on others', { evalFraction: undefined, evalData: { source: fileOf(rows.slice(0, 7)) } }],
  ['a list', { data: { source: rows } }],
])('%s', (_name, over) => {
  it('batches and notices are those of rows read at once', async () => {
    const config = configOf(over);
    const { encode, stream } = taskOf(config);
    const [together, streamed] = await Promise.all([
      openData(config, completion, { encode }, open),
      openData(config, completion, { encode, stream: stream! }, open),
    ]);
    expect(streamed.train).toHaveLength(together.train.length);
    expect(streamed.held).toHaveLength(together.held.length);
    expect(streamed.notices).toEqual(together.notices);
    expect(await batchesOf(config, streamed)).toEqual(await batchesOf(config, together));
  });

  it('wherever they are kept', async () => {
    const config = configOf({ ...over, evalFraction: 0, evalData: null });
    const { encode } = taskOf(config);
    const together = await openData(config, completion, { encode }, open);
    expect(await batchesOf(config, await spilled(config))).toEqual(await batchesOf(config, together));
  });
});

it('a row comes back whole, floats and all, and says where it stands', async () => {
  const answer = '{"role": "assistant", "content": "b", "score": 20.0, "top": 3}';
  const line = `\n{"messages": [{"role": "user", "content": "a"}, ${answer}]}`;
  const config = configOf({ data: { source: new File([line], 'scores.jsonl') }, maxLength: 512, evalFraction: 0 });
  const { encode, stream } = taskOf(config);
  const [together, streamed] = await Promise.all([
    openData(config, completion, { encode }, open),
    openData(config, completion, { encode, stream: stream! }, open),
  ]);
  expect(streamed.train[0]!.row).toEqual(together.train[0]!.row);
  expect((streamed.train[0]!.row as TextualRow).line).toBe(2);
});

const isInMemory = (example: Example) => 'tokens' in example;

it.each([true, false])('only rows that samples are made of are in memory (packing %s)', async (packing) => {
  const config = configOf({ sampleCount: 3, packing });
  const data = await openData(config, completion, taskOf(config), open);
  expect(documentsOf(data.held).map(isInMemory)).toEqual(data.held.map((_, i) => i < 3));
  expect(documentsOf(data.train).some(isInMemory)).toBe(false);
  const none = configOf({ sampleCount: 3, packing, evalFraction: 0 });
  const { train } = await openData(none, completion, taskOf(none), open);
  expect(documentsOf(train).map(isInMemory)).toEqual(rows.map((_, i) => i < 3));
});

describe('a wrong row, after many', () => {
  const many = Array.from({ length: 3000 }, (_, i) => JSON.stringify(rowOf(i)));
  it.each([
    ['no JSON', '{"text": ', /rows\.jsonl:3001.*no valid JSON/],
    ['of no form', '{"body": "a"}', /rows\.jsonl:3001: a row needs/],
    ['too long', JSON.stringify({ text: 'lamp '.repeat(200) }), /rows\.jsonl:3001: this row has \d+ tokens/],
    ['nothing to learn', '{"text": ""}', /rows\.jsonl:3001: field 'text'/],
    ['not Unicode', '{"text": "\\ud800"}', /rows\.jsonl:3001: the text holds half/],
  ])('%s: named before anything is written', async (_name, line, message) => {
    const store = createMemoryStore();
    const config = configOf({
      weightLoader: gemmaWeightLoader({ from: await chatModelSources() }),
      data: { source: new File([[...many, line].join('\n')], 'rows.jsonl') },
      sampleCount: 0,
      steps: 1,
    });
    await expect(runTraining(config, { store, gpu })).rejects.toThrow(message);
    expect((await store.list()).filter(({ name }) => name !== 'report.html')).toEqual([]);
  });
});

describe('while rows are read', () => {
  it('it is told how far that is, from the first', async () => {
    const config = configOf();
    const told: ReadProgress[] = [];
    await openData(config, completion, taskOf(config), open, undefined, {
      onProgress: (progress) => void told.push(progress),
    });
    const { size } = config.data.source as File;
    expect(told[0]).toEqual({ file: 'rows.jsonl', rows: 0, tokens: 0, bytes: expect.any(Number), totalBytes: size });
  });

  it('a signal ends it', async () => {
    const config = configOf({ data: { source: fileOf(Array.from({ length: 2000 }, (_, i) => rowOf(i))) } });
    const stop = new AbortController();
    const reading = openData(config, completion, taskOf(config), open, undefined, {
      signal: stop.signal,
      onProgress: () => stop.abort(),
    });
    await expect(reading).rejects.toMatchObject({ name: 'AbortError' });
  });
});
