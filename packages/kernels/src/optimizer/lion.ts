import type { DeviceProfile } from '@lapidary/gpu';
import type { KernelCall, Operand } from '../kernel-call.js';
import { shaderCall } from '../shader-call.js';
import { updateWindows, type UpdateArgs } from './update-windows.js';

/** Operands of `lion`: parameter, gradient and momentum f32 [n]. */
export interface LionKernelArgs<B> extends UpdateArgs<B> {
  readonly m: Operand<B>;
  /** f32 [5]: learningRate, 1 − beta1, 1 − beta2, weightDecay, clipNorm (≤ 0: no clipping). */
  readonly hyper: Operand<B>;
}

/** One Lion update with global-norm clipping, in place (`shaders/optimizer/lion.wesl`). */
export function lion<B>(profile: DeviceProfile, args: LionKernelArgs<B>): KernelCall<B>[] {
  return updateWindows(profile, args, { numbers: 5, kept: 1 }, ({ vec, uniforms, bindings, rest, keep }) =>
    shaderCall('optimizer/lion', {
      ...rest,
      conditions: { VEC: vec },
      uniforms,
      bindings: { ...bindings, m: keep(args.m) },
    }),
  );
}
