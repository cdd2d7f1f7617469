import { lion as lionKernel } from '@lapidary/kernels';
import { addNode, needRecords, needTensors, type Tensor } from '../graph.js';
import { checkUpdate } from './check-update.js';

export interface LionArgs {
  /** f32, all of one shape. */
  readonly param: Tensor;
  readonly grad: Tensor;
  readonly m: Tensor;
  /** f32 [5]: learningRate, 1 − beta1, 1 − beta2, weightDecay, clipNorm (≤ 0: no clipping). */
  readonly hyper: Tensor;
  /** f32 scalar: squared global gradient norm, for clipping. If it is not finite, nothing is updated. */
  readonly gradNormSquared: Tensor;
  /** Multiply the learning rate and the weight decay of this tensor. Default 1. */
  readonly learningRateScale?: number;
  readonly weightDecayScale?: number;
}

/**
 * One Lion update (Chen et al. 2023, arXiv:2302.06675; as optax.lion) → new [param, m], in place where possible. One kernel.
 * @throws TensorShapeError
 */
export function lion(args: LionArgs): [Tensor, Tensor] {
  needRecords('lion', { args });
  const { param, grad, m, hyper, gradNormSquared, learningRateScale = 1, weightDecayScale = 1 } = args;
  needTensors('lion', { param });
  checkUpdate('lion', { param, grad, hyper, gradNormSquared }, 5, [['m', m, param.shape]]);
  const n = param.size;
  const type = { shape: param.shape, dtype: 'f32' as const };
  return addNode({
    name: 'lion',
    inputs: [param, grad, m, hyper, gradNormSquared],
    outputs: [type, type],
    inPlace: new Map([
      [0, 0],
      [1, 2],
    ]),
    lower: ({ profile, inputs, outputs }) =>
      lionKernel(profile, {
        param: outputs[0]!,
        grad: inputs[1]!,
        m: outputs[1]!,
        hyper: inputs[3]!,
        gradNormSquared: inputs[4]!,
        n,
        learningRateScale,
        weightDecayScale,
      }),
  }) as [Tensor, Tensor];
}
