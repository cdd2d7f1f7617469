import type { BatchShape } from '../loop/train-programs.js';
import type { Example } from './tokenise.js';

/** One micro-batch, as the step programs take it. */
export interface Batch {
  readonly shape: BatchShape;
  /** i32 [B, T], padded on the right with 0. */
  readonly inputIds: Int32Array;
  /** i32 [B, T, 4]: (segment, block, position, 0); padding in segment 0. */
  readonly tokenInfo: Int32Array;
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
export function batchShapes(examples: readonly Example[], rows: number, maxLength: number): BatchShape[] {
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
    return { batch: rows, length, targets };
  });
}

/** Puts examples into the smallest of the shapes that holds them; missing rows are padding. */
export function makeBatch(examples: readonly Example[], shapes: readonly BatchShape[]): Batch {
  const longest = Math.max(...examples.map((e) => e.tokens.length));
  const shape = shapes.find((s) => s.length >= longest);
  if (shape === undefined || examples.length > shape.batch)
    throw new RangeError(`no batch shape holds ${examples.length} rows of ${longest} tokens`);
  const { batch, length, targets: places } = shape;
  const inputIds = new Int32Array(batch * length);
  const tokenInfo = new Int32Array(batch * length * 4);
  const rows = new Int32Array(places).fill(-1);
  const targets = new Int32Array(places).fill(-1);
  let numTargets = 0;
  let numTokens = 0;
  examples.forEach(({ tokens, lossMask }, b) => {
    tokens.forEach((token, t) => {
      const at = b * length + t;
      inputIds[at] = token;
      tokenInfo.set([1, t, t, 0], at * 4);
      if (t + 1 < tokens.length && lossMask[t + 1]) {
        rows[numTargets] = at;
        targets[numTargets++] = tokens[t + 1]!;
      }
    });
    numTokens += tokens.length;
  });
  return { shape, inputIds, tokenInfo, rows, targets, numTargets, numTokens };
}
