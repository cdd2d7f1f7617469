import type { DeviceProfile } from '@lapidary/gpu';
import { foldWorkgroups, type KernelCall, type Operand } from '../kernel-call.js';
import { shaderCall } from '../shader-call.js';
import { bind, rowWindows } from '../windows.js';

/** Operands of `sgd`: parameter, gradient and momentum f32 [n]. */
export interface SgdKernelArgs<B> {
  /** f32 [n], updated in place, as is m. */
  readonly param: Operand<B>;
  readonly grad: Operand<B>;
  /** The momentum; left out: none is kept. */
  readonly m?: Operand<B>;
  /** f32 [4]: learningRate, momentum, weightDecay, clipNorm (≤ 0: no clipping). */
  readonly hyper: Operand<B>;
  /** f32 [1]: squared global norm of the gradients; if it is not finite nothing is updated. */
  readonly gradNormSquared: Operand<B>;
  readonly n: number;
  /** Looks ahead by a step of the momentum; needs m. */
  readonly nesterov: boolean;
  /** Multiply the learning rate and the weight decay. */
  readonly learningRateScale: number;
  readonly weightDecayScale: number;
}

/** One step of SGD with global-norm clipping, in place (`shaders/optimizer/sgd.wesl`). */
export function sgd<B>(profile: DeviceProfile, args: SgdKernelArgs<B>): KernelCall<B>[] {
  const { param, grad, m, hyper, gradNormSquared, n, nesterov, learningRateScale, weightDecayScale } = args;
  const vec = n % 4 === 0;
  return rowWindows(n, [4], profile.limits.maxStorageBufferBindingSize).map(({ start, count }) => {
    const threads = vec ? count / 4 : count;
    const part = (operand: Operand<B>, access: 'read' | 'read_write') => bind(operand, access, count * 4, start * 4);
    return shaderCall('optimizer/sgd', {
      conditions: { VEC: vec, MOMENTUM: m !== undefined, NESTEROV: m !== undefined && nesterov },
      uniforms: { count: threads, rate: learningRateScale, decay: weightDecayScale },
      bindings: {
        param: part(param, 'read_write'),
        grad: part(grad, 'read'),
        hyper: bind(hyper, 'read', 16),
        norm2: bind(gradNormSquared, 'read', 4),
        m: m && part(m, 'read_write'),
      },
      workgroups: foldWorkgroups(Math.ceil(threads / 64), profile.limits.maxComputeWorkgroupsPerDimension),
      variant: vec ? 'vec4' : 'scalar',
      // Parameter and momentum are read and written.
      work: { bytes: (m ? 5 : 3) * count * 4 },
    });
  });
}
