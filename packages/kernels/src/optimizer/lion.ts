import type { DeviceProfile } from '@lapidary/gpu';
import { foldWorkgroups, type KernelCall, type Operand } from '../kernel-call.js';
import { shaderCall } from '../shader-call.js';
import { bind, rowWindows } from '../windows.js';

/** Operands of `lion`: parameter, gradient and momentum f32 [n]. */
export interface LionKernelArgs<B> {
  /** f32 [n], updated in place, as is m. */
  readonly param: Operand<B>;
  readonly grad: Operand<B>;
  readonly m: Operand<B>;
  /** f32 [5]: learningRate, 1 − beta1, 1 − beta2, weightDecay, clipNorm (≤ 0: no clipping). */
  readonly hyper: Operand<B>;
  /** f32 [1]: squared global norm of the gradients; if it is not finite nothing is updated. */
  readonly gradNormSquared: Operand<B>;
  readonly n: number;
  /** Multiply the learning rate and the weight decay. */
  readonly learningRateScale: number;
  readonly weightDecayScale: number;
}

/** One Lion update with global-norm clipping, in place (`shaders/optimizer/lion.wesl`). */
export function lion<B>(profile: DeviceProfile, args: LionKernelArgs<B>): KernelCall<B>[] {
  const { param, grad, m, hyper, gradNormSquared, n, learningRateScale, weightDecayScale } = args;
  const vec = n % 4 === 0;
  return rowWindows(n, [4], profile.limits.maxStorageBufferBindingSize).map(({ start, count }) => {
    const threads = vec ? count / 4 : count;
    const part = (operand: Operand<B>, access: 'read' | 'read_write') => bind(operand, access, count * 4, start * 4);
    return shaderCall('optimizer/lion', {
      conditions: { VEC: vec },
      uniforms: { count: threads, rate: learningRateScale, decay: weightDecayScale },
      bindings: {
        param: part(param, 'read_write'),
        grad: part(grad, 'read'),
        m: part(m, 'read_write'),
        hyper: bind(hyper, 'read', 20),
        norm2: bind(gradNormSquared, 'read', 4),
      },
      workgroups: foldWorkgroups(Math.ceil(threads / 64), profile.limits.maxComputeWorkgroupsPerDimension),
      variant: vec ? 'vec4' : 'scalar',
      // Parameter and momentum are read and written.
      work: { bytes: 5 * count * 4 },
    });
  });
}
