import {
  reduce,
  reduceWorkspaceElements,
  softmax as softmaxKernel,
  softmaxBackward,
  sumOfSquares as sumOfSquaresKernel,
  sumOfSquaresWorkspaceElements,
} from '@lapidary/kernels';
import { addNode, needF32, needLists, sizeOf, TensorShapeError, type Tensor } from '../graph.js';
import { constant, div, equal, mul } from './elementwise.js';
import { reshape, transpose } from './shape.js';

type ReduceOp = 'sum' | 'mean' | 'max' | 'min';

function reduceAxes(x: Tensor, axes: readonly number[] | number | undefined, keepDims: boolean, op: ReduceOp): Tensor {
  needF32(op, { x });
  if (axes !== undefined && typeof axes !== 'number') needLists(op, { axes });
  const rank = x.shape.length;
  const list = (axes === undefined ? x.shape.map((_, i) => i) : typeof axes === 'number' ? [axes] : axes)
    .map((a) => (a < 0 ? a + rank : a))
    .sort((a, b) => a - b);
  if (list.some((a) => !Number.isInteger(a) || a < 0 || a >= rank) || new Set(list).size !== list.length)
    throw new TensorShapeError(op, `axes [${list.join(', ')}] of a tensor of ${rank} dimensions`);
  const kept = x.shape.map((_, i) => i).filter((i) => !list.includes(i));
  const keptShape = x.shape.map((d, i) => (list.includes(i) ? 1 : d));
  const outShape = keepDims ? keptShape : kept.map((i) => x.shape[i]!);
  if (list.length === 0 || x.size === sizeOf(outShape)) return reshape(x, outShape);

  // The reduced axes must lie next to each other; otherwise they are moved to the end first.
  const adjacent = list.every((a, i) => i === 0 || a === list[i - 1]! + 1);
  if (!adjacent) {
    const moved = transpose(x, [...kept, ...list]);
    return reshape(
      reduceAxes(
        moved,
        list.map((_, i) => kept.length + i),
        false,
        op,
      ),
      outShape,
    );
  }
  const outer = sizeOf(x.shape.slice(0, list[0]));
  const length = sizeOf(list.map((a) => x.shape[a]!));
  const inner = sizeOf(x.shape.slice(list.at(-1)! + 1));
  const elements = reduceWorkspaceElements({ outer, length, inner });
  return addNode({
    name: op,
    inputs: [x],
    outputs: [{ shape: outShape, dtype: 'f32' }],
    lower: ({ profile, inputs, outputs, workspace }) =>
      reduce(profile, {
        x: inputs[0]!,
        out: outputs[0]!,
        outer,
        length,
        inner,
        op,
        ...(elements > 0 && { workspace: workspace(elements * 4) }),
      }),
    vjp: ({ inputs, outputs, grads }) => {
      const grad = reshape(grads[0]!, keptShape);
      if (op === 'sum') return [mul(grad, constant(1, x.shape))];
      if (op === 'mean') return [mul(grad, constant(1 / length, x.shape))];
      // Several equal extremes share the gradient evenly, as in PyTorch's amax/amin.
      const hit = equal(inputs[0]!, reshape(outputs[0]!, keptShape));
      return [mul(grad, div(hit, sum(hit, list, true)))];
    },
  })[0]!;
}

/** Sum of f32 over axes (default: all). @throws TensorShapeError */
export const sum = (x: Tensor, axes?: readonly number[] | number, keepDims = false): Tensor =>
  reduceAxes(x, axes, keepDims, 'sum');
/** Mean of f32 over axes (default: all). @throws TensorShapeError */
export const mean = (x: Tensor, axes?: readonly number[] | number, keepDims = false): Tensor =>
  reduceAxes(x, axes, keepDims, 'mean');
/** Largest value of f32 over axes (default: all). @throws TensorShapeError */
export const max = (x: Tensor, axes?: readonly number[] | number, keepDims = false): Tensor =>
  reduceAxes(x, axes, keepDims, 'max');
/** Smallest value of f32 over axes (default: all). @throws TensorShapeError */
export const min = (x: Tensor, axes?: readonly number[] | number, keepDims = false): Tensor =>
  reduceAxes(x, axes, keepDims, 'min');

/** Softmax of f32 over the last axis. @throws TensorShapeError */
export function softmax(x: Tensor): Tensor {
  needF32('softmax', { x });
  if (x.shape.length === 0) throw new TensorShapeError('softmax', 'x has no axis');
  const dim = x.shape.at(-1)!;
  const rows = x.size / dim;
  return addNode({
    name: 'softmax',
    inputs: [x],
    outputs: [{ shape: x.shape, dtype: 'f32' }],
    lower: ({ profile, inputs, outputs }) => softmaxKernel(profile, { x: inputs[0]!, out: outputs[0]!, rows, dim }),
    vjp: ({ outputs, grads }) =>
      addNode({
        name: 'softmax backward',
        inputs: [outputs[0]!, grads[0]!],
        outputs: [{ shape: x.shape, dtype: 'f32' }],
        lower: ({ profile, inputs, outputs: [dX] }) =>
          softmaxBackward(profile, { y: inputs[0]!, dOut: inputs[1]!, dX: dX!, rows, dim }),
      }),
  })[0]!;
}

/** Σ x² over every element of every f32 tensor, as one f32: the squared global norm. NaN and infinity go through. @throws TensorShapeError */
export function sumOfSquares(xs: readonly Tensor[]): Tensor {
  needLists('sumOfSquares', { xs });
  if (xs.length === 0) return constant(0);
  needF32('sumOfSquares', Object.fromEntries(xs.map((x, i) => [`xs[${i}]`, x])));
  const ns = xs.map((x) => x.size);
  return addNode({
    name: 'sum of squares',
    inputs: xs,
    outputs: [{ shape: [], dtype: 'f32' }],
    lower: ({ profile, inputs, outputs, workspace }) =>
      sumOfSquaresKernel(profile, {
        xs: inputs.map((x, i) => ({ x, n: ns[i]! })),
        out: outputs[0]!,
        workspace: workspace(sumOfSquaresWorkspaceElements(ns) * 4),
      }),
    vjp: ({ inputs, grads }) => inputs.map((x) => mul(mul(x, 2), grads[0]!)),
  })[0]!;
}
