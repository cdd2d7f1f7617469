import type { HostInputs, TensorLike } from '@lapidary/tensor';
import type { Batch, BatchShape } from '../objective.js';
import type { CompletionExample } from './tokenise.js';

/** Sizes of a batch of completions. */
export interface CompletionShape extends BatchShape {
  /** Places for targets. */
  readonly targets: number;
}

/** Types of a batch's inputs; what they hold is told at `CompletionBatch`. */
export type CompletionInputs = {
  readonly inputIds: TensorLike;
  readonly tokenInfo: TensorLike;
  readonly patches?: TensorLike;
  readonly rows: TensorLike;
  readonly targets: TensorLike;
};

/**
 * One micro-batch of completions. Inputs, with P patches a row and R places for targets:
 * - `inputIds` i32 [B, T]: the text, padded on the right with 0;
 * - `tokenInfo` i32 [B, P + T, 4]: (segment, block, position, 0) of patches and text; padding in segment 0, packed rows in one each;
 * - `patches` f32 [B, P, 3·p·p]: patches of the rows' pictures; left out where there are none;
 * - `rows` i32 [R]: rows of the flattened batch that predict a target; −1 fills up;
 * - `targets` i32 [R]: the token each row predicts; −1 fills up.
 */
export type CompletionBatch = Batch<CompletionShape, CompletionInputs>;

/** A length rounded up to one of few: 16, 32, 64, 96, 128, then multiples of 128; at most `limit`. */
export function bucketLength(length: number, limit: number): number {
  const up =
    length <= 16 ? 16 : length <= 32 ? 32 : length <= 128 ? Math.ceil(length / 32) * 32 : Math.ceil(length / 128) * 128;
  return Math.min(up, Math.max(limit, length));
}

/** What a batch has of an example. */
export type Sequence = Pick<CompletionExample, 'length' | 'tokens' | 'lossMask' | 'prefix' | 'documents'>;

/** The same of several rows, or what a batch has of these. */
export type Sequences = Sequence | (Pick<Sequence, 'length'> & { readonly documents: readonly Sequence[] });

/** Tokens that are to be predicted. */
export function countTargets({ lossMask }: Pick<Sequence, 'lossMask'>): number {
  let count = 0;
  for (let i = 1; i < lossMask.length; i++) count += lossMask[i]!;
  return count;
}

/**
 * One shape for every length that batches of `rows` examples can have: so few that all their programs can be planned before
 * training begins. Places for targets suffice for the `rows` examples with the most of them.
 */
export function batchShapes(
  examples: readonly (Pick<CompletionExample, 'length' | 'patches' | 'lossMask'> | StoredSize)[],
  rows: number,
  maxLength: number,
): CompletionShape[] {
  return shapesOf(sizesOf(examples), rows, maxLength);
}

/** What is known of an example whose tokens are not in memory. */
export type StoredSize = Required<Pick<CompletionShape, 'length' | 'patches' | 'targets'>>;

function* sizesOf(examples: Parameters<typeof batchShapes>[0]): Generator<StoredSize> {
  for (const example of examples)
    yield 'targets' in example
      ? example
      : { length: example.length, patches: example.patches, targets: countTargets(example) };
}

/** The same from sizes alone: the length of each example, and its targets. */
export function shapesOf(sizes: Iterable<StoredSize>, rows: number, maxLength: number): CompletionShape[] {
  let patches: number | undefined;
  /** By length of a shape, the most targets of its examples. */
  const mostOf = new Map<number, number[]>();
  for (const size of sizes) {
    patches ??= size.patches;
    const length = bucketLength(size.length, maxLength);
    const most = mostOf.get(length) ?? [];
    mostOf.set(length, most);
    insertLargest(most, size.targets, rows);
  }
  const lengths = [...mostOf.keys()].sort((a, b) => a - b);
  const most: number[] = [];
  return lengths.map((length) => {
    // Shorter examples may stand in it too.
    for (const targets of mostOf.get(length)!) insertLargest(most, targets, rows);
    const sum = most.reduce((a, b) => a + b, 0);
    const targets = Math.min(bucketLength(sum, rows * length), rows * length);
    return { batch: rows, length, targets, ...(patches !== undefined && patches > 0 && { patches }) };
  });
}

/** Keeps the `count` largest values, the largest first. */
function insertLargest(values: number[], value: number, count: number): void {
  if (values.length === count && value <= values[count - 1]!) return;
  let at = values.length;
  while (at > 0 && values[at - 1]! < value) at--;
  values.splice(at, 0, value);
  if (values.length > count) values.pop();
}

/**
 * Puts examples into the smallest of the shapes that holds them; missing rows are padding. `pictures`: the patches of each.
 * @throws RangeError where no shape holds the rows, or the shape not their targets
 */
export function makeBatch<S extends CompletionShape>(
  examples: readonly Sequences[],
  shapes: readonly S[],
  pictures: readonly Float32Array[] = [],
): Batch<S, CompletionInputs> {
  const longest = Math.max(...examples.map((e) => e.length));
  const shape = shapes.find((s) => s.length >= longest);
  if (shape === undefined || examples.length > shape.batch)
    throw new RangeError(`no batch shape holds ${examples.length} rows of ${longest} tokens`);
  const { batch, length, targets: places, patches: seen = 0 } = shape;
  const width = seen + length;
  const inputIds = new Int32Array(batch * length);
  const tokenInfo = new Int32Array(batch * width * 4);
  const rows = new Int32Array(places).fill(-1);
  const targets = new Int32Array(places).fill(-1);
  let numTargets = 0;
  let numTokens = 0;
  examples.forEach((example, b) => {
    const documents: readonly Sequence[] = 'tokens' in example ? (example.documents ?? [example]) : example.documents;
    let from = 0;
    documents.forEach(({ tokens, lossMask, prefix }, d) => {
      // A prefix, pictures and all, is one block that sees itself in both directions.
      const record = (position: number) => {
        const block = position < seen + prefix ? 0 : position;
        tokenInfo.set([d + 1, block, position, 0], (b * width + from + position) * 4);
      };
      for (let i = 0; i < seen; i++) record(i);
      tokens.forEach((token, t) => {
        inputIds[b * length + from + t] = token;
        record(seen + t);
        if (t + 1 < tokens.length && lossMask[t + 1]) {
          rows[numTargets] = b * width + from + seen + t;
          targets[numTargets++] = tokens[t + 1]!;
        }
      });
      from += tokens.length;
      numTokens += seen + tokens.length;
    });
  });
  if (numTargets > places)
    throw new RangeError(`a batch of ${places} targets does not hold the ${numTargets} of its rows`);
  const patches = seen > 0 ? joinPictures(pictures, examples.length, batch) : undefined;
  const inputs: HostInputs<CompletionInputs> = { inputIds, tokenInfo, rows, targets, ...(patches && { patches }) };
  return { shape, inputs, weight: numTargets, numTokens };
}

function joinPictures(pictures: readonly Float32Array[], examples: number, batch: number): Float32Array {
  const values = pictures[0]?.length ?? 0;
  if (pictures.length !== examples || pictures.some((picture) => picture.length !== values))
    throw new RangeError(`${examples} rows need as many pictures of one size, not ${pictures.length}`);
  const patches = new Float32Array(batch * values);
  pictures.forEach((picture, b) => patches.set(picture, b * values));
  return patches;
}
