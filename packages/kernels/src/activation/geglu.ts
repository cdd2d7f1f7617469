import type { DeviceProfile } from '@lapidary/gpu';
import { foldWorkgroups, words, type KernelCall, type Operand } from '../kernel-call.js';
import { bind, rowWindows } from '../windows.js';

interface GegluInputs<B> {
  /** f32 [n]. */
  readonly gate: Operand<B>;
  /** f32 [n]. */
  readonly up: Operand<B>;
  readonly n: number;
}

/** out = gelu_tanh(gate) · up (`shaders/activation/geglu.wesl`). */
export function geglu<B>(
  profile: DeviceProfile,
  { gate, up, out, n }: GegluInputs<B> & { readonly out: Operand<B> },
): KernelCall<B>[] {
  return calls(profile, n, false, [
    [gate, 'read'],
    [up, 'read'],
    [out, 'read_write'],
  ]);
}

/** The gradients of `geglu` with respect to gate and up. */
export function gegluBackward<B>(
  profile: DeviceProfile,
  {
    gate,
    up,
    dOut,
    dGate,
    dUp,
    n,
  }: GegluInputs<B> & { readonly dOut: Operand<B>; readonly dGate: Operand<B>; readonly dUp: Operand<B> },
): KernelCall<B>[] {
  return calls(profile, n, true, [
    [gate, 'read'],
    [up, 'read'],
    [dOut, 'read'],
    [dGate, 'read_write'],
    [dUp, 'read_write'],
  ]);
}

function calls<B>(
  profile: DeviceProfile,
  n: number,
  backward: boolean,
  operands: readonly (readonly [Operand<B>, 'read' | 'read_write'])[],
): KernelCall<B>[] {
  const vec = n % 4 === 0;
  return rowWindows(n, [4], profile.limits.maxStorageBufferBindingSize).map(({ start, count }) => {
    const threads = vec ? count / 4 : count;
    return {
      shader: 'activation/geglu',
      conditions: { VEC: vec, BACKWARD: backward },
      uniforms: words(threads, 0, 0, 0),
      bindings: operands.map(([operand, access]) => bind(operand, access, count * 4, start * 4)),
      workgroups: foldWorkgroups(Math.ceil(threads / 64), profile.limits.maxComputeWorkgroupsPerDimension),
      variant: vec ? 'vec4' : 'scalar',
    };
  });
}
