import type { DeviceProfile } from '@lapidary/gpu';
import { foldWorkgroups, type Binding, type KernelCall, type Operand } from '../kernel-call.js';
import { shaderCall, type ShaderBindings } from '../shader-call.js';
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
  return calls(profile, n, false, (part) => ({
    gate: part(gate, 'read'),
    up: part(up, 'read'),
    out: part(out, 'read_write'),
  }));
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
  return calls(profile, n, true, (part) => ({
    gate: part(gate, 'read'),
    up: part(up, 'read'),
    dy: part(dOut, 'read'),
    d_gate: part(dGate, 'read_write'),
    d_up: part(dUp, 'read_write'),
  }));
}

function calls<B>(
  profile: DeviceProfile,
  n: number,
  backward: boolean,
  bindings: (
    part: (operand: Operand<B>, access: Binding<B>['access']) => Binding<B>,
  ) => ShaderBindings<'activation/geglu', B>,
): KernelCall<B>[] {
  const vec = n % 4 === 0;
  return rowWindows(n, [4], profile.limits.maxStorageBufferBindingSize).map(({ start, count }) => {
    const threads = vec ? count / 4 : count;
    return shaderCall('activation/geglu', {
      conditions: { VEC: vec, BACKWARD: backward },
      uniforms: { count: threads },
      bindings: bindings((operand, access) => bind(operand, access, count * 4, start * 4)),
      workgroups: foldWorkgroups(Math.ceil(threads / 64), profile.limits.maxComputeWorkgroupsPerDimension),
      variant: vec ? 'vec4' : 'scalar',
    });
  });
}
