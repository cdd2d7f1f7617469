import {
  exp,
  add,
  div,
  log,
  matmul,
  max,
  mul,
  reshape,
  rsqrt,
  slice,
  square,
  stopGradient,
  sub,
  sum,
  type InputsOf,
  type Tensor,
} from '@lapidary/tensor';
import type { Loss } from '../objective.js';
import type { JoinInputs } from './batch.js';

/**
 * Σ over rows of how unlikely the positive is among all texts that may be found, by `scale` times their cosines: InfoNCE (van den Oord et al.
 * 2018, arXiv:1807.03748) with the others' texts as negatives; a mean over `sizes` of vectors (arXiv:2205.13147).
 * @param vectors f32 [micro-batches, texts of each, values]: of unit length
 */
export function contrastiveLoss(
  vectors: Tensor,
  { allowed, present }: InputsOf<JoinInputs>,
  { rows, scale, sizes }: { readonly rows: number; readonly scale: number; readonly sizes: readonly number[] },
): Loss {
  const [count, texts, width] = vectors.shape as [number, number, number];
  const part = (from: number, to: number) => slice(vectors, 1, from, to);
  const flat = (x: Tensor, size: number) => unitLength(slice(reshape(x, [-1, width]), 1, 0, size), size < width);
  const losses = sizes.map((size) => {
    const anchors = flat(part(0, rows), size);
    const positives = flat(part(rows, 2 * rows), size);
    const candidates = texts === 2 * rows ? positives : flat(part(rows, texts), size);
    const scores = add(mul(matmul(anchors, candidates, { transposeB: true }), scale), allowed);
    const most = stopGradient(max(scores, 1, true));
    const total = add(log(sum(exp(sub(scores, most)), 1)), reshape(most, [count * rows]));
    const own = mul(sum(mul(anchors, positives), 1), scale);
    return sum(mul(sub(total, own), present));
  });
  return { loss: div(losses.reduce(add), sizes.length) };
}

/** Vectors that were cut, at unit length again. */
function unitLength(x: Tensor, wasCut: boolean): Tensor {
  return wasCut ? mul(x, rsqrt(add(sum(square(x), 1, true), 1e-24))) : x;
}
