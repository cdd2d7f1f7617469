import type { DeviceProfile } from '@lapidary/gpu';
import { f32Bits, foldWorkgroups, type KernelCall, type Operand } from '../kernel-call.js';
import { shaderCall } from '../shader-call.js';
import { bind, rowWindows } from '../windows.js';

/** out[i] = value, f32, i32 or u32 [n] (`shaders/copy/fill.wesl`). */
export function fill<B>(
  profile: DeviceProfile,
  { out, n, value }: { readonly out: Operand<B>; readonly n: number; readonly value: number },
): KernelCall<B>[] {
  const bits = out.dtype === 'f32' ? f32Bits(value) : value >>> 0;
  return rowWindows(n, [4], profile.limits.maxStorageBufferBindingSize).map(({ start, count }) =>
    shaderCall('copy/fill', {
      uniforms: { n: count, value: bits },
      bindings: { out: bind(out, 'read_write', count * 4, start * 4) },
      workgroups: foldWorkgroups(Math.ceil(count / 256), profile.limits.maxComputeWorkgroupsPerDimension),
      variant: 'plain',
    }),
  );
}
