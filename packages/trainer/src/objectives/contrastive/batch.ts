import { textBatch } from '@lapidary/gemma';
import { TensorLike, type HostInputs } from '@lapidary/tensor';
import { bucketLength } from '../completion/batch.js';
import type { Batch, BatchShape, JointTypes } from '../objective.js';
import type { ContrastiveExample } from './encode.js';

/** Sizes of a micro-batch. `batch` counts texts: `rows` anchors, as many positives, and as many of each negative. */
export interface ContrastiveShape extends BatchShape {
  readonly rows: number;
}

/** Types of a batch's inputs; what they hold is told at `ContrastiveBatch`. */
export type ContrastiveInputs = {
  readonly inputIds: TensorLike;
  readonly tokenInfo: TensorLike;
  readonly tokenWeights: TensorLike;
};

/**
 * One micro-batch of B rows: their anchors, then their positives, then their first negatives and so on, N texts in all. Its inputs are those of
 * `textBatch`.
 */
export type ContrastiveBatch = Batch<ContrastiveShape, ContrastiveInputs>;

/** One shape for every length that batches of `rows` examples can have, with as many negatives as the row that has most. */
export function contrastiveShapes(
  examples: readonly ContrastiveExample[],
  rows: number,
  maxLength: number,
): ContrastiveShape[] {
  const texts = examples.reduce((most, example) => Math.max(most, example.texts.length), 2);
  const lengths = [...new Set(examples.map(({ length }) => bucketLength(length, maxLength)))].sort((a, b) => a - b);
  return lengths.map((length) => ({ batch: rows * texts, length, rows }));
}

/** Puts examples into the smallest of the shapes that holds them. @throws RangeError where none does */
export function makeContrastiveBatch(
  examples: readonly ContrastiveExample[],
  shapes: readonly ContrastiveShape[],
): ContrastiveBatch {
  const longest = Math.max(...examples.map(({ length }) => length));
  const shape = shapes.find(({ length }) => length >= longest);
  if (shape === undefined || examples.length > shape.rows)
    throw new RangeError(`no batch shape holds ${examples.length} rows of ${longest} tokens`);
  const { batch, length, rows } = shape;
  const inputs = textBatch(
    examples.flatMap(({ texts }, row) => texts.map((tokens, part) => [part * rows + row, tokens] as const)),
    { batch, length },
  );
  const numTokens = examples.reduce((sum, { texts }) => texts.reduce((n, tokens) => n + tokens.length, sum), 0);
  return { shape, inputs: { ...inputs }, weight: examples.length, numTokens };
}

/** What a step's loss is told of its M rows and their C texts to be found. */
export interface JoinInputs extends JointTypes {
  /** f32 [M, C]: 0 for what a row may be told apart from, and what belongs to it; `excluded` for the same text again, and where there is none. */
  readonly allowed: TensorLike;
  /** f32 [M]: 1, and 0 where there is no row. */
  readonly present: TensorLike;
}

/** Far below any score. */
const excluded = -1e30;

export function joinTypes({ batch, rows }: ContrastiveShape, count: number): JoinInputs {
  const texts = count * (batch - rows);
  return { allowed: new TensorLike('f32', [count * rows, texts]), present: new TensorLike('f32', [count * rows]) };
}

/** Texts of micro-batches as what they are told apart by: anchors, and what may be found; '' where there is none. */
export function textsOf(batches: readonly Pick<ContrastiveBatch, 'shape' | 'inputs'>[]): {
  readonly anchors: string[];
  readonly candidates: string[];
} {
  const anchors: string[] = [];
  const candidates: string[] = [];
  for (const { shape, inputs } of batches) {
    const { batch, length, rows } = shape;
    const { inputIds, tokenWeights } = inputs;
    for (let text = 0; text < batch; text++) {
      const [from, to] = [text * length, (text + 1) * length];
      const count = tokenWeights.subarray(from, to).filter((weight) => weight > 0).length;
      (text < rows ? anchors : candidates).push(inputIds.subarray(from, from + count).join(' '));
    }
  }
  return { anchors, candidates };
}

/** Of each anchor the place of its positive among the candidates. */
export function positivePlaces({ batch, rows }: ContrastiveShape, count: number): number[] {
  return Array.from({ length: count * rows }, (_, i) => Math.floor(i / rows) * (batch - rows) + (i % rows));
}

/** The inputs of the loss of micro-batches, fewer than `count` where an epoch ends. */
export function joinInputs(batches: readonly ContrastiveBatch[], count: number): HostInputs<JoinInputs> {
  const [{ shape }] = batches as readonly [ContrastiveBatch];
  const { anchors, candidates } = textsOf(batches);
  const places = positivePlaces(shape, count);
  const width = count * (shape.batch - shape.rows);
  const allowed = new Float32Array(places.length * width).fill(excluded);
  const present = new Float32Array(places.length);
  places.forEach((place, i) => {
    const positive = candidates[place] ?? '';
    if ((anchors[i] ?? '') === '') return;
    present[i] = 1;
    candidates.forEach((text, c) => {
      if (c === place || (text !== '' && text !== positive)) allowed[i * width + c] = 0;
    });
  });
  return { allowed, present };
}
