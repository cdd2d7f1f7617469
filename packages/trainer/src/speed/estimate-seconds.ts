import { workOf, type KernelCall } from '@lapidary/kernels';
import { copySpeed, type ProgramPlan } from '@lapidary/tensor';
import type { DeviceSpeed, ProductSpeed } from './measure-speed.js';

/** Rows up to which a product waits for its weights, and not for its arithmetic. */
const fewRows = 8;

/**
 * An estimate of one run of a program: each product at the speed of the measured one that is most like it, all else at the speed of
 * copies or of f32 products, whichever takes longer, and for each kernel what one takes by itself. What is not in the kernels' own counts
 * (bank conflicts, caches, clocks that fall) is not in it.
 */
export function estimateSeconds(plan: Pick<ProgramPlan, 'calls'>, speed: DeviceSpeed): number {
  const each = plan.calls.map((call) => speed.dispatchSeconds + secondsOf(call, speed));
  return each.reduce((sum, seconds) => sum + seconds, speed.runSeconds);
}

function secondsOf(call: Pick<KernelCall<unknown>, 'bindings' | 'work' | 'product'>, speed: DeviceSpeed): number {
  const { flops, bytes } = workOf(call);
  const memory = bytes / copySpeed(speed.ceiling, bytes);
  const { product } = call;
  const like = productLike(speed, product?.dtype ?? 'f32', product?.m ?? Infinity);
  if (product !== undefined && product.m <= fewRows) return bytes / like.bytesPerSecond;
  return Math.max(memory, flops / like.flopsPerSecond);
}

/** The measured product of the same type of weights, or of bf16, with as few or as many rows. */
function productLike({ products }: DeviceSpeed, dtype: string, rows: number): ProductSpeed {
  const isFew = rows <= fewRows;
  const alike = products.filter((each) => each.precision === 'float32' && each.rows <= fewRows === isFew);
  const found = alike.find((each) => each.dtype === dtype) ?? alike.find((each) => each.dtype === 'bf16') ?? alike[0];
  if (found === undefined) throw new RangeError(`no product of ${isFew ? 'few' : 'many'} rows was measured`);
  return found;
}
