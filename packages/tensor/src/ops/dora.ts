import { needRecords, needTensors, type Tensor } from '../graph.js';
import { add, maximum, mul, rsqrt, square } from './elementwise.js';
import { matmul } from './matmul.js';
import { sum } from './reduce.js';
import { stopGradient, transpose } from './shape.js';

/** A low-rank update whose rows, together with the weight's, are given a length, f32. */
export interface DoraParams {
  /** [rank, in] */
  readonly a: Tensor;
  /** [out, rank] */
  readonly b: Tensor;
  /** Default 1. */
  readonly scale?: number;
  /** [out]: length that each row of W + scale · b·a is given. */
  readonly magnitude: Tensor;
  /** [out]: length of each row of W. */
  readonly weightNorm: Tensor;
}

/** A row without a length has no direction: its outputs are 0. */
const leastSquare = 1e-30;

/**
 * What a DoRA multiplies the outputs of a linear with this weight [out, in] by, f32 [out]: the magnitude over the length of the row of
 * W + scale · b·a, which counts as constant for gradients (Liu et al. 2024, arXiv:2402.09353, section 4.3). The length comes from those
 * of the parts, |w + s·b·a|² = |w|² + s · b·(2·a·w + s·a·aᵀ·bᵀ), so that no matrix of W's size is made.
 */
export function doraRowScale(weight: Tensor, params: DoraParams): Tensor {
  needRecords('doraRowScale', { params });
  const { a, b, scale = 1, magnitude, weightNorm } = params;
  needTensors('doraRowScale', { weight, a, b, magnitude, weightNorm });
  const ofWeight = transpose(matmul(a, weight, { transposeB: true, alpha: 2 }));
  const ofUpdate = matmul(b, matmul(a, a, { transposeB: true, alpha: scale }));
  const squared = add(square(weightNorm), mul(sum(mul(b, add(ofWeight, ofUpdate)), 1), scale));
  return mul(magnitude, stopGradient(rsqrt(maximum(squared, leastSquare))));
}
