import { sgd as sgdKernel } from '@lapidary/kernels';
import { addNode, needRecords, needTensors, type Tensor } from '../graph.js';
import { checkUpdate } from './check-update.js';

export interface SgdArgs {
  /** f32, all of one shape. */
  readonly param: Tensor;
  readonly grad: Tensor;
  /** The momentum; left out: none is kept, and `hyper`'s does not count. */
  readonly m?: Tensor;
  /** f32 [4]: learningRate, momentum, weightDecay, clipNorm (≤ 0: no clipping). */
  readonly hyper: Tensor;
  /** f32 scalar: squared global gradient norm, for clipping. If it is not finite, nothing is updated. */
  readonly gradNormSquared: Tensor;
  /** Nesterov's form of momentum. Default false. */
  readonly nesterov?: boolean;
  /** Multiply the learning rate and the weight decay of this tensor. Default 1. */
  readonly learningRateScale?: number;
  readonly weightDecayScale?: number;
}

/**
 * One step of stochastic gradient descent in the form of torch.optim.SGD (Sutskever et al. 2013; weight decay is a part of the
 * gradient, no dampening) → new [param] or [param, m], in place where possible. One kernel.
 * @throws TensorShapeError
 */
export function sgd(args: SgdArgs): [Tensor, ...Tensor[]] {
  needRecords('sgd', { args });
  const {
    param,
    grad,
    m,
    hyper,
    gradNormSquared,
    nesterov = false,
    learningRateScale = 1,
    weightDecayScale = 1,
  } = args;
  needTensors('sgd', { param });
  checkUpdate('sgd', { param, grad, hyper, gradNormSquared }, 4, m ? [['m', m, param.shape]] : []);
  const n = param.size;
  const type = { shape: param.shape, dtype: 'f32' as const };
  return addNode({
    name: 'sgd',
    inputs: [param, grad, hyper, gradNormSquared, ...(m ? [m] : [])],
    outputs: m ? [type, type] : [type],
    inPlace: new Map(
      m
        ? [
            [0, 0],
            [1, 4],
          ]
        : [[0, 0]],
    ),
    lower: ({ profile, inputs, outputs }) =>
      sgdKernel(profile, {
        param: outputs[0]!,
        grad: inputs[1]!,
        ...(m && { m: outputs[1]! }),
        hyper: inputs[2]!,
        gradNormSquared: inputs[3]!,
        n,
        nesterov,
        learningRateScale,
        weightDecayScale,
      }),
  }) as [Tensor, ...Tensor[]];
}
