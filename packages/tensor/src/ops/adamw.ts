import { adamw as adamwKernel } from '@lapidary/kernels';
import { addNode, needRecords, needTensors, type Tensor } from '../graph.js';
import { checkUpdate } from './check-update.js';

export interface AdamWArgs {
  /** f32, all of one shape. */
  readonly param: Tensor;
  readonly grad: Tensor;
  readonly m: Tensor;
  readonly v: Tensor;
  /**
   * f32 [10]: learningRate, beta1, beta2, eps, weightDecay, 1 − beta1^t, 1 − beta2^t, clipNorm (≤ 0: no clipping), 1 − beta1, 1 − beta2,
   * the last two by themselves, since f32 cannot tell them from beta.
   */
  readonly hyper: Tensor;
  /** f32 scalar: squared global gradient norm, for clipping. If it is not finite, nothing is updated. */
  readonly gradNormSquared: Tensor;
  /** Multiplies the weight decay of this tensor. Default 1. */
  readonly weightDecayScale?: number;
  /** Multiplies the learning rate of this tensor. Default 1. */
  readonly learningRateScale?: number;
}

/**
 * One AdamW update (Loshchilov & Hutter 2017, arXiv:1711.05101; PyTorch's form) → new [param, m, v], in place where possible.
 * @throws TensorShapeError
 */
export function adamw(args: AdamWArgs): [Tensor, Tensor, Tensor] {
  needRecords('adamw', { args });
  const { param, grad, m, v, hyper, gradNormSquared, weightDecayScale = 1, learningRateScale = 1 } = args;
  needTensors('adamw', { param });
  checkUpdate('adamw', { param, grad, hyper, gradNormSquared }, 10, [
    ['m', m, param.shape],
    ['v', v, param.shape],
  ]);
  const n = param.size;
  const type = { shape: param.shape, dtype: 'f32' as const };
  return addNode({
    name: 'adamw',
    inputs: [param, grad, m, v, hyper, gradNormSquared],
    outputs: [type, type, type],
    inPlace: new Map([
      [0, 0],
      [1, 2],
      [2, 3],
    ]),
    lower: ({ profile, inputs, outputs }) =>
      adamwKernel(profile, {
        param: outputs[0]!,
        grad: inputs[1]!,
        m: outputs[1]!,
        v: outputs[2]!,
        hyper: inputs[4]!,
        gradNormSquared: inputs[5]!,
        n,
        weightDecayScale,
        learningRateScale,
      }),
  }) as [Tensor, Tensor, Tensor];
}
