import { adafactor as adafactorKernel } from '@lapidary/kernels';
import { addNode, needRecords, needShape, needTensors, type Tensor } from '../graph.js';
import { checkUpdate } from './check-update.js';

/** Second moments that Adafactor keeps of a parameter: by rows and columns, or of each element. */
export type AdafactorMoments<T> = { readonly row: T; readonly col: T } | { readonly v: T };

export interface AdafactorArgs {
  /** f32, both of one shape. */
  readonly param: Tensor;
  readonly grad: Tensor;
  /** f32, of the shapes that `adafactorMoments` gives. */
  readonly moments: AdafactorMoments<Tensor>;
  /** f32 [8]: learningRate, ω = t^beta2Decay, 1/√t, eps1, eps2, d, weightDecay, clipNorm (≤ 0: no clipping). */
  readonly hyper: Tensor;
  /** f32 scalar: squared global gradient norm, for clipping. If it is not finite, nothing is updated. */
  readonly gradNormSquared: Tensor;
  /** Multiply the learning rate and the weight decay of this tensor. Default 1. */
  readonly learningRateScale?: number;
  readonly weightDecayScale?: number;
}

/**
 * Shapes of the moments of a parameter. [n]: `v` [n]. […, R, C]: `row` […, R, 1] and `col` […, 1, C], factored over the last two
 * axes, as in PyTorch.
 */
export function adafactorMoments(shape: readonly number[]): AdafactorMoments<readonly number[]> {
  needShape('adafactorMoments', shape);
  if (shape.length < 2) return { v: shape };
  return { row: shape.with(-1, 1), col: shape.with(-2, 1) };
}

/**
 * One Adafactor update (Shazeer & Stern 2018, arXiv:1804.04235; as torch.optim.Adafactor) → new param and moments, in place where
 * possible. Five kernels for matrices, three for a vector. Scratch memory of matrices: the sums of squares of columns, a part of
 * the rows at a time; it is a 32nd of the parameter, or the size of `col` where that is more.
 * @throws TensorShapeError
 */
export function adafactor(args: AdafactorArgs): { param: Tensor; moments: AdafactorMoments<Tensor> } {
  needRecords('adafactor', { args });
  const { param, grad, moments, hyper, gradNormSquared, learningRateScale = 1, weightDecayScale = 1 } = args;
  needTensors('adafactor', { param });
  needRecords('adafactor', { moments });
  const { shape, size: n } = param;
  const given: Readonly<Record<string, Tensor | undefined>> = { ...moments };
  const kept = Object.entries<readonly number[]>(adafactorMoments(shape)).map(
    ([name, wanted]) => [name, given[name], wanted] as const,
  );
  checkUpdate('adafactor', { param, grad, hyper, gradNormSquared }, 8, kept);
  const [rows, columns] = [shape.at(-2) ?? 1, shape.at(-1) ?? 1];
  const made = addNode({
    name: 'adafactor',
    inputs: [param, grad, hyper, gradNormSquared, ...kept.map(([, tensor]) => tensor!)],
    outputs: [shape, ...kept.map(([, , wanted]) => wanted)].map((s) => ({ shape: s, dtype: 'f32' as const })),
    inPlace: new Map([[0, 0], ...kept.map((_, i): [number, number] => [i + 1, i + 4])]),
    lower: ({ profile, inputs: [, g, h, norm], outputs: [p, first, second], workspace }) =>
      adafactorKernel(profile, {
        param: p!,
        grad: g!,
        moments: second ? { batch: n / (rows * columns), rows, columns, row: first!, col: second } : { n, v: first! },
        hyper: h!,
        gradNormSquared: norm!,
        learningRateScale,
        weightDecayScale,
        workspace,
      }),
  });
  const [newParam, first, second] = made;
  return { param: newParam!, moments: second ? { row: first!, col: second } : { v: first! } };
}
