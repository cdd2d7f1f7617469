import type { BatchShape } from '../loop/train-programs.js';
import type { Example } from './tokenise.js';

/** One micro-batch, as the step programs take it. */
export interface Batch {
  readonly shape: BatchShape;
  /** i32 [B, T]: the text, padded on the right with 0. */
  readonly inputIds: Int32Array;
  /** i32 [B, P + T, 4]: (segment, block, position, 0) of patches and text; padding in segment 0. */
  readonly tokenInfo: Int32Array;
  /** f32 [B, P, 3·p·p]: patches of the rows' pictures; undefined where there are none. */
  readonly patches?: Float32Array;
  /** i32 [R]: rows of the flattened batch that predict a target; −1 fills up. */
  readonly rows: Int32Array;
  /** i32 [R]: the token each row predicts; −1 fills up. */
  readonly targets: Int32Array;
  readonly numTargets: number;
  /** Tokens that are no padding. */
  readonly numTokens: number;
}

/** A length rounded up to one of few: 16, 32, 64, 96, 128, then multiples of 128; at most `limit`. */
export function bucketLength(length: number, limit: number): number {
  const up =
    length <= 16 ? 16 : length <= 32 ? 32 : length <= 128 ? Math.ceil(length / 32) * 32 : Math.ceil(length / 128) * 128;
  return Math.min(up, Math.max(limit, length));
}

const targetsOf = ({ lossMask }: Example) => lossMask.subarray(1).reduce((n, l) => n + l, 0);

/**
 * One shape for every length that batches of `rows` examples can have: so few that all their programs can be planned before
 * training begins. Places for targets suffice for the `rows` examples with the most of them.
 */
export function batchShapes(examples: readonly Example[], rows: number, maxLength: number, patches = 0): BatchShape[] {
  const lengths = [...new Set(examples.map((e) => bucketLength(e.tokens.length, maxLength)))].sort((a, b) => a - b);
  return lengths.map((length) => {
    const most = examples
      .filter((e) => e.tokens.length <= length)
      .map(targetsOf)
      .sort((a, b) => b - a)
      .slice(0, rows);
    const targets = Math.min(
      bucketLength(
        most.reduce((a, b) => a + b, 0),
        rows * length,
      ),
      rows * length,
    );
    return { batch: rows, length, targets, ...(patches > 0 && { patches }) };
  });
}

/** Puts examples into the smallest of the shapes that holds them; missing rows are padding. `pictures`: the patches of each. */
export function makeBatch(
  examples: readonly Example[],
  shapes: readonly BatchShape[],
  pictures: readonly Float32Array[] = [],
): Batch {
  const longest = Math.max(...examples.map((e) => e.tokens.length));
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
  examples.forEach(({ tokens, lossMask, prefix }, b) => {
    // A prefix, pictures and all, is one block that sees itself in both directions.
    const record = (position: number) => {
      const block = position < seen + prefix ? 0 : position;
      tokenInfo.set([1, block, position, 0], (b * width + position) * 4);
    };
    for (let i = 0; i < seen; i++) record(i);
    tokens.forEach((token, t) => {
      inputIds[b * length + t] = token;
      record(seen + t);
      if (t + 1 < tokens.length && lossMask[t + 1]) {
        rows[numTargets] = b * width + seen + t;
        targets[numTargets++] = tokens[t + 1]!;
      }
    });
    numTokens += seen + tokens.length;
  });
  const patches = seen > 0 ? joinPictures(pictures, examples.length, batch) : undefined;
  return { shape, inputIds, tokenInfo, rows, targets, numTargets, numTokens, ...(patches && { patches }) };
}

function joinPictures(pictures: readonly Float32Array[], examples: number, batch: number): Float32Array {
  const values = pictures[0]?.length ?? 0;
  if (pictures.length !== examples || pictures.some((picture) => picture.length !== values))
    throw new RangeError(`${examples} rows need as many pictures of one size, not ${pictures.length}`);
  const patches = new Float32Array(batch * values);
  pictures.forEach((picture, b) => patches.set(picture, b * values));
  return patches;
}
