import type { DeviceProfile } from '@lapidary/gpu';
import type { KernelCall, Operand } from '../kernel-call.js';
import { shaderCall } from '../shader-call.js';
import { updateWindows, type UpdateArgs } from './update-windows.js';

/** Operands of `adamw`: parameter, gradient and both moments f32 [n]. */
export interface AdamWKernelArgs<B> extends UpdateArgs<B> {
  readonly m: Operand<B>;
  readonly v: Operand<B>;
  /**
   * f32 [10]: learningRate, beta1, beta2, eps, weightDecay, 1 − beta1^t, 1 − beta2^t, clipNorm (≤ 0: no clipping), 1 − beta1, 1 − beta2.
   * The last two by themselves, since f32 cannot tell them from beta: of 0.999 the difference is off by 1e-5.
   */
  readonly hyper: Operand<B>;
}

/** One AdamW update with global-norm clipping, in place (`shaders/optimizer/adamw.wesl`). */
export function adamw<B>(profile: DeviceProfile, args: AdamWKernelArgs<B>): KernelCall<B>[] {
  return updateWindows(profile, args, { numbers: 10, kept: 2 }, ({ vec, uniforms, bindings, rest, keep }) =>
    shaderCall('optimizer/adamw', {
      ...rest,
      conditions: { VEC: vec },
      uniforms,
      bindings: { ...bindings, m: keep(args.m), v: keep(args.v) },
    }),
  );
}
