import type { DeviceProfile } from '@lapidary/gpu';
import type { KernelCall } from '../kernel-call.js';

/** The same device, but as if no binding could be larger than `bytes`: kernels then work in windows. */
export function withBindingLimit(profile: DeviceProfile, bytes: number): DeviceProfile {
  return { ...profile, limits: { ...profile.limits, maxStorageBufferBindingSize: bytes } };
}

/** The same device, but as if it were no adapter of the CPU: kernels then take the variants that GPUs get. */
export function asGpu(profile: DeviceProfile): DeviceProfile {
  return { ...profile, adapter: { ...profile.adapter, isSoftware: false } };
}

/** What is wrong with the bindings of some calls under a limit: too large, or not where a device lets a binding begin. */
export function bindingFaults(calls: readonly KernelCall<unknown>[], limit: number): string[] {
  return calls.flatMap((call) =>
    call.bindings
      .filter(({ offset, size }) => size > limit || size % 4 !== 0 || offset % 256 !== 0)
      .map(({ offset, size }) => `${call.shader}: ${size} bytes at ${offset}`),
  );
}
