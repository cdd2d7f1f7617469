import type { DeviceProfile } from '@lapidary/gpu';
import { foldWorkgroups, type KernelCall, type Operand } from '../kernel-call.js';
import { shaderCall } from '../shader-call.js';
import { bind, rowWindows } from '../windows.js';

/** Operands of `adamw`: parameter, gradient and both moments f32 [n]. */
export interface AdamWKernelArgs<B> {
  /** f32 [n], updated in place, as are m and v. */
  readonly param: Operand<B>;
  readonly grad: Operand<B>;
  readonly m: Operand<B>;
  readonly v: Operand<B>;
  /**
   * f32 [10]: learningRate, beta1, beta2, eps, weightDecay, 1 − beta1^t, 1 − beta2^t, clipNorm (≤ 0: no clipping), 1 − beta1, 1 − beta2.
   * The last two by themselves, since f32 cannot tell them from beta: of 0.999 the difference is off by 1e-5.
   */
  readonly hyper: Operand<B>;
  /** f32 [1]: squared global norm of the gradients; if it is not finite nothing is updated. */
  readonly gradNormSquared: Operand<B>;
  readonly n: number;
  /** Multiplies the weight decay: 0 for tensors that are not decayed. */
  readonly weightDecayScale: number;
  /** Multiplies the learning rate. Default 1. */
  readonly learningRateScale?: number;
}

/** One AdamW update with global-norm clipping, in place (`shaders/optimizer/adamw.wesl`). */
export function adamw<B>(profile: DeviceProfile, args: AdamWKernelArgs<B>): KernelCall<B>[] {
  const { param, grad, m, v, hyper, gradNormSquared, n, weightDecayScale, learningRateScale = 1 } = args;
  const vec = n % 4 === 0;
  return rowWindows(n, [4], profile.limits.maxStorageBufferBindingSize).map(({ start, count }) => {
    const threads = vec ? count / 4 : count;
    const part = (operand: Operand<B>, access: 'read' | 'read_write') => bind(operand, access, count * 4, start * 4);
    return shaderCall('optimizer/adamw', {
      conditions: { VEC: vec },
      uniforms: { count: threads, decay: weightDecayScale, rate: learningRateScale },
      bindings: {
        param: part(param, 'read_write'),
        grad: part(grad, 'read'),
        m: part(m, 'read_write'),
        v: part(v, 'read_write'),
        hyper: bind(hyper, 'read', 40),
        norm2: bind(gradNormSquared, 'read', 4),
      },
      workgroups: foldWorkgroups(Math.ceil(threads / 64), profile.limits.maxComputeWorkgroupsPerDimension),
      variant: vec ? 'vec4' : 'scalar',
      // Parameter, m and v are read and written.
      work: { bytes: 7 * count * 4 },
    });
  });
}
