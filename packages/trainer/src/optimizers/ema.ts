import { add, formatType, mul, sub, TensorShapeError, type Tensor } from '@lapidary/tensor';

/**
 * An exponential moving average of a parameter, moved by one step: average + (1 − decay)·(param − average), f32 of their shape
 * (Polyak & Juditsky 1992; torch.optim.swa_utils.get_ema_multi_avg_fn). Where the result is the new value of the average's variable,
 * it is one kernel, in place. 1 − decay is computed in double precision: f32 would make 1.0002e-4 of 1 − 0.9999.
 *
 * `param` should be the value after the optimiser's step. An average that begins as the parameter's copy needs no bias correction.
 * @throws TensorShapeError; RangeError where decay is not from 0 to below 1
 */
export function ema(average: Tensor, param: Tensor, decay: number): Tensor {
  if (average.dtype !== 'f32' || average.shape.join() !== param.shape.join())
    throw new TensorShapeError('ema', `${formatType(average)} is no average of ${formatType(param)}`);
  if (!(decay >= 0 && decay < 1)) throw new RangeError(`ema: decay is ${decay}; it must be from 0 to below 1`);
  return add(average, mul(sub(param, average), 1 - decay));
}
