import { placeTokens, type VisionGeometry } from '@lapidary/gemma';
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
  readonly pictureRows?: TensorLike;
  readonly rows: TensorLike;
  readonly targets: TensorLike;
};

/**
 * One micro-batch of completions. Inputs, with I pictures of N patches and R places for targets:
 * - `inputIds` i32 [B, T]: the tokens, −1 where a picture's stands, padded on the right with 0;
 * - `tokenInfo` i32 [B, T, 4]: (segment, block, position, 0); padding in segment 0, packed rows in one each;
 * - `patches` f32 [I, N, 3·p·p]: the rows' pictures one after the other, padded with 0; left out where there are none;
 * - `pictureRows` i32 [B, T]: with them, which of their tokens stands there, −1 where one of the text does;
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

/** What bounds the shapes of batches. */
export interface ShapeLimits {
  /** In a batch. */
  readonly rows: number;
  /** Of a row's text. */
  readonly maxLength: number;
  /** Places that a picture takes; of a model that sees none any number. */
  readonly tokensPerImage: number;
}

/**
 * One shape for every length that batches of `rows` examples can have: so few that all their programs can be planned before
 * training begins. Places for targets, and for pictures, suffice for the `rows` examples with the most of them.
 */
export function batchShapes(
  examples: readonly (Pick<CompletionExample, 'length' | 'patches' | 'lossMask'> | StoredSize)[],
  limits: ShapeLimits,
): CompletionShape[] {
  return shapesOf([...sizesOf(examples)], limits);
}

/** What is known of an example whose tokens are not in memory. */
export type StoredSize = Pick<CompletionExample, 'length' | 'patches'> & Pick<CompletionShape, 'targets'>;

function* sizesOf(examples: Parameters<typeof batchShapes>[0]): Generator<StoredSize> {
  for (const example of examples)
    yield 'targets' in example
      ? example
      : { length: example.length, patches: example.patches, targets: countTargets(example) };
}

/** The same from sizes alone: the length of each example, and its targets. */
export function shapesOf(
  sizes: readonly StoredSize[],
  { rows, maxLength, tokensPerImage }: ShapeLimits,
): CompletionShape[] {
  const [first] = sizes;
  // Where all rows have as many pictures, texts alone make the lengths; else there would be a shape for each length and each number.
  const beside = sizes.every(({ patches }) => patches === first!.patches) ? (first?.patches ?? 0) : 0;
  const limit = sizes.reduce((most, { patches }) => Math.max(most, maxLength + patches), maxLength) - beside;
  /** By length of a shape, the most targets and pictures' places of its examples. */
  const mostOf = new Map<number, { readonly targets: number[]; readonly patches: number[] }>();
  for (const size of sizes) {
    const length = beside + bucketLength(size.length - beside, limit);
    const most = mostOf.get(length) ?? { targets: [], patches: [] };
    mostOf.set(length, most);
    insertLargest(most.targets, size.targets, rows);
    insertLargest(most.patches, size.patches, rows);
  }
  const lengths = [...mostOf.keys()].sort((a, b) => a - b);
  const most = { targets: [] as number[], patches: [] as number[] };
  const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
  return lengths.map((length) => {
    const own = mostOf.get(length)!;
    // Shorter examples may stand in it too.
    for (const targets of own.targets) insertLargest(most.targets, targets, rows);
    for (const patches of own.patches) insertLargest(most.patches, patches, rows);
    const room = rows * (length - beside);
    const targets = Math.min(bucketLength(sum(most.targets), room), room);
    const pictures = sum(most.patches) / tokensPerImage;
    return { batch: rows, length, targets, ...(pictures > 0 && { pictures }) };
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

/** The pictures of a batch. */
export interface BatchPictures {
  readonly vision: VisionGeometry;
  /** f32 [I·N, 3·p·p] of each example's I pictures. */
  readonly patches: readonly Float32Array[];
}

/**
 * Puts examples into the smallest of the shapes that holds them; missing rows are padding. `pictures`: of a model that sees some.
 * @throws RangeError where no shape holds the rows, or the shape not their targets or pictures
 */
export function makeBatch<S extends CompletionShape>(
  examples: readonly Sequences[],
  shapes: readonly S[],
  pictures?: BatchPictures,
): Batch<S, CompletionInputs> {
  const longest = Math.max(...examples.map((e) => e.length));
  const shape = shapes.find((s) => s.length >= longest);
  if (shape === undefined || examples.length > shape.batch)
    throw new RangeError(`no batch shape holds ${examples.length} rows of ${longest} tokens`);
  const { batch, length, targets: places } = shape;
  const inputIds = new Int32Array(batch * length);
  const tokenInfo = new Int32Array(batch * length * 4);
  const pictureRows = new Int32Array(batch * length).fill(-1);
  const rows = new Int32Array(places).fill(-1);
  const targets = new Int32Array(places).fill(-1);
  let numTargets = 0;
  let numTokens = 0;
  let seen = 0;
  examples.forEach((example, b) => {
    const documents: readonly Sequence[] = 'tokens' in example ? (example.documents ?? [example]) : example.documents;
    let from = 0;
    documents.forEach(({ tokens, lossMask, prefix }, d) => {
      const placed = placeTokens(tokens, pictures?.vision, prefix);
      let own = 0;
      for (let t = 0; t < tokens.length; t++) {
        const at = b * length + from + t;
        inputIds[at] = placed.ids[t]!;
        tokenInfo.set([d + 1, placed.blocks[t]!, t, 0], at * 4);
        if (placed.pictureRows[t]! >= 0) pictureRows[at] = seen + own++;
        if (t + 1 < tokens.length && lossMask[t + 1]) {
          rows[numTargets] = at;
          targets[numTargets++] = tokens[t + 1]!;
        }
      }
      seen += own;
      from += tokens.length;
      numTokens += tokens.length;
    });
  });
  if (numTargets > places)
    throw new RangeError(`a batch of ${places} targets does not hold the ${numTargets} of its rows`);
  const inputs: HostInputs<CompletionInputs> = {
    ...{ inputIds, tokenInfo, rows, targets },
    ...(shape.pictures && { patches: joinPictures(pictures, seen, shape.pictures), pictureRows }),
  };
  return { shape, inputs, weight: numTargets, numTokens };
}

/** All pictures one after the other, with room for as many as the shape has. */
function joinPictures(pictures: BatchPictures | undefined, seen: number, room: number): Float32Array {
  if (pictures === undefined) throw new RangeError('a batch has pictures, which were not handed over');
  const { vision, patches: parts } = pictures;
  const values = vision.patchesPerImage * vision.patchValues;
  const found = parts.reduce((n, { length }) => n + length, 0);
  const expected = (seen / vision.tokensPerImage) * values;
  if (found !== expected || found > room * values)
    throw new RangeError(
      `a batch of ${room} pictures, ${expected} values in its rows, does not go with ${found} values`,
    );
  const patches = new Float32Array(room * values);
  let at = 0;
  for (const part of parts) {
    patches.set(part, at);
    at += part.length;
  }
  return patches;
}
