import type { HostInputs, TensorLike } from '@lapidary/tensor';
import {
  bucketLength,
  countTargets,
  makeBatch,
  type BatchPictures,
  type ShapeLimits,
  shapesOf,
  type CompletionInputs,
  type CompletionShape,
  type Sequence,
} from '../completion/batch.js';
import type { CompletionExample } from '../completion/tokenise.js';
import type { Batch } from '../objective.js';
import type { PreferenceRow } from './rows.js';

/** A pair as tokens: the chosen answer's, and beside them the rejected one's. `length` is that of the longer. */
export interface PreferenceExample extends CompletionExample {
  readonly row: PreferenceRow;
  readonly rejected: Sequence;
}

/** Sizes of a batch of pairs. `batch` counts answers: two of each pair. */
export interface PreferenceShape extends CompletionShape {
  /** Places for targets of one answer. */
  readonly places: number;
}

/** Types of a batch's inputs; what they hold is told at `PreferenceBatch`. */
export type PreferenceInputs = CompletionInputs & {
  readonly places: TensorLike;
  readonly lengths: TensorLike;
  readonly pairs: TensorLike;
};

/**
 * One micro-batch of P pairs: a batch of 2·P completions, the chosen one of each pair before its rejected one, and
 * - `places` i32 [2·P, L]: which of `targets` are an answer's; −1 fills up;
 * - `lengths` f32 [2·P]: how many those are, 1 where there is no answer;
 * - `pairs` f32 [P]: 1, and 0 where there is no pair.
 */
export type PreferenceBatch = Batch<PreferenceShape, PreferenceInputs>;

const answersOf = (pair: PreferenceExample): readonly Sequence[] => [pair, pair.rejected];

/** One shape for every length that batches of `rows` pairs can have. */
export function preferenceShapes(examples: readonly PreferenceExample[], limits: ShapeLimits): PreferenceShape[] {
  const sizes = examples.flatMap((pair) =>
    answersOf(pair).map((answer) => ({
      length: pair.length,
      patches: pair.patches,
      targets: countTargets(answer),
    })),
  );
  return shapesOf(sizes, { ...limits, rows: 2 * limits.rows }).map((shape) => {
    const fitting = sizes.filter(({ length }) => length <= shape.length);
    const most = fitting.reduce((n, { targets }) => Math.max(n, targets), 0);
    return { ...shape, places: Math.min(bucketLength(most, shape.length), shape.length) };
  });
}

/** Puts pairs into the smallest of the shapes that holds them. @throws RangeError as `makeBatch` */
export function makePreferenceBatch(
  pairs: readonly PreferenceExample[],
  shapes: readonly PreferenceShape[],
  pictures?: BatchPictures,
): PreferenceBatch {
  const answers = pairs.flatMap(answersOf);
  const each = pictures && { ...pictures, patches: pictures.patches.flatMap((patches) => [patches, patches]) };
  const { shape, inputs: given, numTokens } = makeBatch(answers, shapes, each);
  const places = new Int32Array(shape.batch * shape.places).fill(-1);
  const lengths = new Float32Array(shape.batch).fill(1);
  let target = 0;
  for (const [row, answer] of answers.entries()) {
    const count = countTargets(answer);
    lengths[row] = count;
    for (let i = 0; i < count; i++) places[row * shape.places + i] = target++;
  }
  const real = Float32Array.from({ length: shape.batch / 2 }, (_, i) => (i < pairs.length ? 1 : 0));
  const inputs: HostInputs<PreferenceInputs> = { ...given, places, lengths, pairs: real };
  return { shape, inputs, weight: pairs.length, numTokens };
}
