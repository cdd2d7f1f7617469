// Contrastive losses and rankings against sentence-transformers (test/fixtures/contrastive).
import { gemmaConfigFromHf, modelOf } from '@lapidary/gemma';
import { openGpu, type Gpu } from '@lapidary/gpu';
import { gradients, Program, TensorLike, trace } from '@lapidary/tensor';
import {
  bindContrastive,
  ConfigError,
  DatasetError,
  parseContrastiveRow,
  promptsOf,
  type ContrastiveExample,
  type ContrastiveSettings,
  type ContrastiveTask,
} from '@lapidary/trainer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { meanFamily } from './support/mean-model.js';
import { fixtureJson } from './support/safetensors-fixture.js';

interface LossCase {
  readonly rows: number;
  readonly parts: number;
  readonly width: number;
  readonly scale: number;
  readonly size: number;
  readonly vectors: readonly number[];
  readonly loss: number;
  readonly gradient: readonly number[];
}
interface Ranking {
  readonly queries: number;
  readonly width: number;
  readonly vectors: readonly number[];
  readonly rows: readonly (readonly [number, number])[];
  readonly 'ndcg@10': number;
  readonly 'accuracy@1': number;
}
const fixture = await fixtureJson<{ losses: LossCase[]; rankings: Ranking[] }>('contrastive/losses.json');
const config = gemmaConfigFromHf(await fixtureJson('models/gemma3-tiny/config.json'));
const usual: ContrastiveSettings = { scale: 20, sizes: null, queryPrompt: null, documentPrompt: null };
const limits = { maxLength: 16, packing: false, seed: 0, sampleCount: 0, sampleTokens: 0, imagePreset: null };

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterAll(() => gpu.destroy());

/** The objective of a model with vectors of `width` values. */
function taskOf(width: number, batchSize: number, settings: Partial<ContrastiveSettings> = {}): ContrastiveTask {
  const model = meanFamily.describe({ ...config });
  const embedding = { ...model.embedding!, sizes: [width, ...(settings.sizes ?? [])] as [number, ...number[]] };
  const about = { limits: { ...limits, batchSize }, weightFormat: 'safetensors' } as const;
  return bindContrastive({ ...model, embedding }, { ...about, settings: { ...usual, ...settings } });
}

/** A row of texts that each are one token. */
const exampleOf = (...tokens: readonly number[]): ContrastiveExample => ({
  row: { line: 1, anchor: '', positive: '', negatives: [] },
  length: 1,
  patches: 0,
  texts: tokens.map((token) => Int32Array.of(token)),
});

/** Values [part, row, …] as [micro-batch, part, row within it, …]. */
const inMicroBatches = (values: readonly number[], { rows, parts, width }: LossCase, count: number): number[] => {
  const each = rows / count;
  return Array.from({ length: count }, (_, batch) =>
    Array.from({ length: parts }, (_part, part) =>
      values.slice((part * rows + batch * each) * width, (part * rows + (batch + 1) * each) * width),
    ).flat(),
  ).flat();
};

/** Takes from each gradient its part along its vector. */
function alongNothing(gradients: Float32Array, vectors: Float32Array, width: number): void {
  for (let from = 0; from < vectors.length; from += width) {
    let dot = 0;
    for (let i = from; i < from + width; i++) dot += gradients[i]! * vectors[i]!;
    for (let i = from; i < from + width; i++) gradients[i]! -= dot * vectors[i]!;
  }
}

describe('the loss of sentence-transformers, with its gradient', () => {
  const cases = fixture.losses.flatMap((each) =>
    [1, 2, 3, each.rows].filter((count) => each.rows % count === 0).map((count) => ({ ...each, count })),
  );
  it.each(cases)('$rows rows of $parts texts, scale $scale, $size of $width, in $count micro-batches', async (each) => {
    const { rows, parts, scale, size, width, count } = each;
    const task = taskOf(width, rows / count, { scale, ...(size < width && { sizes: [size] }) });
    const examples = Array.from({ length: rows }, (_, row) =>
      exampleOf(...Array.from({ length: parts }, (_part, part) => 3 + part * rows + row)),
    );
    const shapes = task.shapes(examples);
    const batches = await Promise.all(
      Array.from({ length: count }, (_, i) =>
        task.collate(examples.slice((i * rows) / count, ((i + 1) * rows) / count), shapes),
      ),
    );
    const joint = task.joint!;
    const types = {
      ...joint.types(shapes[0]!, count),
      outputs: new TensorLike('f32', [count, ...joint.outputShape(shapes[0]!)]),
    };
    const { plan } = trace(
      gpu.profile,
      ({ outputs, ...inputs }) => {
        const { loss } = joint.loss(outputs, inputs);
        return { outputs: { loss, gradient: gradients(loss, [outputs])[0]! } };
      },
      types,
    );
    const program = await Program.create(gpu, plan);
    const outputs = Float32Array.from(inMicroBatches(each.vectors, each, count));
    program.run({ ...joint.inputs(batches, count), outputs });
    expect((await program.read('loss'))[0]! / rows).toBeCloseTo(each.loss, 5);
    const expected = inMicroBatches(each.gradient, each, count);
    const gradient = (await program.read('gradient')).map((value) => value / rows);
    // Theirs makes vectors of unit length first: what points along them is gone.
    if (size === width) alongNothing(gradient, outputs, width);
    gradient.forEach((value, i) => expect(Math.abs(value - expected[i]!)).toBeLessThan(2e-5));
    program.destroy();
    if (size < width) return;
    const values = batches.map((_, i) =>
      outputs.subarray((i * outputs.length) / count, ((i + 1) * outputs.length) / count),
    );
    expect(joint.measure(values, batches, count).loss).toBeCloseTo(each.loss, 5);
  });
});

describe('the ranking of its evaluator', () => {
  it.each(fixture.rankings)('$queries queries', async ({ queries, width, vectors, rows, ...expected }) => {
    const task = taskOf(width, 4);
    const examples = rows.map(([query, text]) => exampleOf(3 + query, 3 + queries + text));
    const shapes = task.shapes(examples);
    const batches = [];
    for (let at = 0; at < examples.length; at += 4)
      batches.push(await task.collate(examples.slice(at, at + 4), shapes));
    const outputs = batches.map(({ inputs, shape }) => {
      const tokens = [...inputs.inputIds].filter((_, i) => i % shape.length === 0);
      return Float32Array.from(tokens.flatMap((token) => vectorOf(vectors, Math.max(token - 3, 0), width)));
    });
    const { metrics } = task.joint!.measure(outputs, batches, 2);
    expect(metrics['ndcg@10']).toBeCloseTo(expected['ndcg@10'], 6);
    expect(metrics['accuracy@1']).toBeCloseTo(expected['accuracy@1'], 6);
  });
});

const vectorOf = (vectors: readonly number[], i: number, width: number) => vectors.slice(i * width, (i + 1) * width);

describe('rows', () => {
  const parse = (value: unknown) => parseContrastiveRow(value, 'rows.jsonl', 3);
  it.each([
    [{ anchor: 'a', positive: 'b' }, ['a', 'b', []]],
    [{ query: 'a', document: 'b', id: 7 }, ['a', 'b', []]],
    [{ question: 'a', answer: 'b', negative: null }, ['a', 'b', []]],
    [{ sentence1: 'a', sentence2: 'b' }, ['a', 'b', []]],
    [{ prompt: 'a', completion: 'b', negative: 'c' }, ['a', 'b', ['c']]],
    [{ anchor: 'a', positive: 'b', negatives: ['c', 'd'] }, ['a', 'b', ['c', 'd']]],
    [{ anchor: 'a', positive: 'b', negative_1: 'c', negative_2: 'd' }, ['a', 'b', ['c', 'd']]],
  ])('%j', (value, [anchor, positive, negatives]) => {
    expect(parse(value)).toEqual({ line: 3, anchor, positive, negatives });
  });
  it.each([
    [[], /must be an object/],
    [{ anchor: 'a' }, /no 'positive'.*completionKey/],
    [{ text: 'a' }, /no 'anchor'/],
    [{ anchor: 'a', query: 'b', positive: 'c' }, /'anchor' and 'query'/],
    [{ anchor: '', positive: 'c' }, /field 'anchor': must be a text that is not empty/],
    [{ anchor: 'a', positive: 5 }, /field 'positive'/],
    [{ anchor: 'a', positive: 'b', negatives: ['c', ''] }, /field 'negatives\.1'/],
    [{ sentence1: 'a', sentence2: 'b', score: 0.4 }, /field 'score'/],
    [{ sentence1: 'a', sentence2: 'b', label: 0 }, /field 'label'/],
  ])('refuses %j', (value, message) => {
    expect(() => parse(value)).toThrow(DatasetError);
    expect(() => parse(value)).toThrow(message);
  });
});

it('knows prompts by name, and takes any text', () => {
  const prompts = { query: 'q: ', document: 'd: ', other: 'o: ' };
  const of = (queryPrompt: string | null, documentPrompt: string | null) =>
    promptsOf({ prompts }, { queryPrompt, documentPrompt });
  expect(of(null, null)).toEqual({ query: 'q: ', document: 'd: ' });
  expect(of('other', '')).toEqual({ query: 'o: ', document: '' });
  expect(of('find: ', 'query')).toEqual({ query: 'find: ', document: 'q: ' });
  expect(() => of('qurey', null)).toThrow(
    /objective\.queryPrompt: found 'qurey'; allowed: query, document, other, or a text/,
  );
  expect(() => of(null, 'doc')).toThrow(ConfigError);
});

it('the same text again is nothing to tell apart, nor is a row that is not there', async () => {
  const task = taskOf(4, 3);
  const examples = [exampleOf(5, 9), exampleOf(6, 9), exampleOf(7, 8)];
  const shapes = task.shapes(examples);
  const batch = await task.collate(examples, shapes);
  const { allowed, present } = task.joint!.inputs([batch], 2);
  expect([...present!]).toEqual([1, 1, 1, 0, 0, 0]);
  expect([...allowed!].map((value) => Number(value === 0))).toEqual([
    ...[1, 0, 1, 0, 0, 0],
    ...[0, 1, 1, 0, 0, 0],
    ...[1, 1, 1, 0, 0, 0],
    ...Array<number>(18).fill(0),
  ]);
});

it('refuses a model that makes no vectors, and sizes that it has not', () => {
  const about = { settings: usual, limits: { ...limits, batchSize: 2 }, weightFormat: 'safetensors' } as const;
  expect(() => bindContrastive(modelOf(config), about)).toThrow(ConfigError);
  const model = meanFamily.describe(config);
  const settings = { ...usual, sizes: [7] };
  expect(() => bindContrastive(model, { ...about, settings })).toThrow(/objective\.sizes/);
});
