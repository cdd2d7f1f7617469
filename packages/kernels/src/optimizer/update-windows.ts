import type { DeviceProfile } from '@lapidary/gpu';
import { foldWorkgroups, type Binding, type KernelCall, type Operand } from '../kernel-call.js';
import { bind, rowWindows } from '../windows.js';

/** Operands of every update that takes each value by itself. */
export interface UpdateArgs<B> {
  /** f32 [n], updated in place, as is what is kept of it. */
  readonly param: Operand<B>;
  readonly grad: Operand<B>;
  /** f32: the optimiser's numbers. */
  readonly hyper: Operand<B>;
  /** f32 [1]: squared global norm of the gradients; if it is not finite nothing is updated. */
  readonly gradNormSquared: Operand<B>;
  readonly n: number;
  /** Multiply the learning rate and the weight decay: 0 for tensors that are not decayed. Default 1. */
  readonly learningRateScale?: number;
  readonly weightDecayScale?: number;
}

/** A window of an update, as its program's call takes it. */
interface UpdateWindow<B> {
  /** Four values a thread. */
  readonly vec: boolean;
  readonly uniforms: { readonly count: number; readonly rate: number; readonly decay: number };
  readonly bindings: Record<'param' | 'grad' | 'hyper' | 'norm2', Binding<B>>;
  readonly rest: Pick<KernelCall<B>, 'workgroups' | 'variant' | 'work'>;
  /** Binds what is kept of the parameter. */
  keep(moment: Operand<B>): Binding<B>;
}

/** The calls of an update: of `numbers` values in `hyper`, with `kept` tensors beside the parameter that are read and written. */
export function updateWindows<B>(
  profile: DeviceProfile,
  { param, grad, hyper, gradNormSquared, n, learningRateScale = 1, weightDecayScale = 1 }: UpdateArgs<B>,
  { numbers, kept }: { readonly numbers: number; readonly kept: number },
  call: (window: UpdateWindow<B>) => KernelCall<B>,
): KernelCall<B>[] {
  const vec = n % 4 === 0;
  return rowWindows(n, [4], profile.limits.maxStorageBufferBindingSize).map(({ start, count }) => {
    const threads = vec ? count / 4 : count;
    const part = (operand: Operand<B>, access: Binding<B>['access']) => bind(operand, access, count * 4, start * 4);
    return call({
      vec,
      uniforms: { count: threads, rate: learningRateScale, decay: weightDecayScale },
      bindings: {
        param: part(param, 'read_write'),
        grad: part(grad, 'read'),
        hyper: bind(hyper, 'read', numbers * 4),
        norm2: bind(gradNormSquared, 'read', 4),
      },
      rest: {
        workgroups: foldWorkgroups(Math.ceil(threads / 64), profile.limits.maxComputeWorkgroupsPerDimension),
        variant: vec ? 'vec4' : 'scalar',
        // The gradient is only read.
        work: { bytes: (3 + 2 * kept) * count * 4 },
      },
      keep: (moment) => part(moment, 'read_write'),
    });
  });
}
