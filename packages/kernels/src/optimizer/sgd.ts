import type { DeviceProfile } from '@lapidary/gpu';
import type { KernelCall, Operand } from '../kernel-call.js';
import { shaderCall } from '../shader-call.js';
import { updateWindows, type UpdateArgs } from './update-windows.js';

/** Operands of `sgd`: parameter, gradient and momentum f32 [n]. */
export interface SgdKernelArgs<B> extends UpdateArgs<B> {
  /** The momentum; left out: none is kept. */
  readonly m?: Operand<B>;
  /** f32 [4]: learningRate, momentum, weightDecay, clipNorm (≤ 0: no clipping). */
  readonly hyper: Operand<B>;
  /** Looks ahead by a step of the momentum; needs m. */
  readonly nesterov: boolean;
}

/** One step of SGD with global-norm clipping, in place (`shaders/optimizer/sgd.wesl`). */
export function sgd<B>(profile: DeviceProfile, args: SgdKernelArgs<B>): KernelCall<B>[] {
  const { m, nesterov } = args;
  const sizes = { numbers: 4, kept: m ? 1 : 0 };
  return updateWindows(profile, args, sizes, ({ vec, uniforms, bindings, rest, keep }) =>
    shaderCall('optimizer/sgd', {
      ...rest,
      conditions: { VEC: vec, MOMENTUM: m !== undefined, NESTEROV: m !== undefined && nesterov },
      uniforms,
      bindings: { ...bindings, m: m && keep(m) },
    }),
  );
}
