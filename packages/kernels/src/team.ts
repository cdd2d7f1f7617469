import type { DeviceProfile } from '@lapidary/gpu';
import { foldWorkgroups } from './kernel-call.js';
import { variantId, workgroupOrPlain } from './variants.js';

/** The parts of a `KernelCall` that say who shares a row (`shaders/common/team.wesl`), for a kernel over `rows` rows. */
export function teamCall(profile: DeviceProfile, kernel: string, rows: number) {
  const variant = workgroupOrPlain(profile, kernel);
  return {
    conditions: { WORKGROUP: variant === 'workgroup' },
    workgroups: foldWorkgroups(
      variant === 'workgroup' ? rows : Math.ceil(rows / 32),
      profile.limits.maxComputeWorkgroupsPerDimension,
    ),
    variant,
    ...variantId(kernel, variant),
  };
}
