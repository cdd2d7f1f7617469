import type { DeviceProfile } from '@lapidary/gpu';
import { f32Bits, foldWorkgroups, words, type KernelCall, type Operand } from '../kernel-call.js';
import { bind, rowWindows } from '../windows.js';

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
    return {
      shader: 'optimizer/sgd',
      conditions: { VEC: vec, MOMENTUM: m !== undefined, NESTEROV: m !== undefined && nesterov },
      uniforms: words(threads, f32Bits(learningRateScale), f32Bits(weightDecayScale), 0),
      bindings: [
        part(param, 'read_write'),
        part(grad, 'read'),
        bind(hyper, 'read', 16),
        bind(gradNormSquared, 'read', 4),
        ...(m ? [part(m, 'read_write')] : []),
      ],
      workgroups: foldWorkgroups(Math.ceil(threads / 64), profile.limits.maxComputeWorkgroupsPerDimension),
      variant: vec ? 'vec4' : 'scalar',
      // Parameter and momentum are read and written.
      work: { bytes: (m ? 5 : 3) * count * 4 },
    };
  });
}
