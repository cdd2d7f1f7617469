import type { DeviceProfile } from '@lapidary/gpu';

/** Whether a kernel may use a variant (`matmul:vec`) here: unless `checkKernels` found that it computes wrong numbers. */
export function isUsable(profile: DeviceProfile, id: string): boolean {
  return !profile.disabledVariants?.has(id);
}

/**
 * How a kernel that has both shares its work. Workgroup memory and barriers are right on GPUs and ruinous on adapters that
 * run on the CPU.
 */
export function workgroupOrPlain(profile: DeviceProfile, kernel: string): 'workgroup' | 'plain' {
  return !profile.adapter.isSoftware && isUsable(profile, `${kernel}:workgroup`) ? 'workgroup' : 'plain';
}

/**
 * Whether eight invocations can share what they load through their subgroup and should: only on adapters of the CPU, where a load
 * costs more than what is done with it, and only where all subgroups are of the size that shaders are laid out for (lavapipe).
 */
export function hasSubgroupsOf8({ adapter, subgroupSize: { min, max } }: DeviceProfile): boolean {
  return adapter.isSoftware && min === 8 && max === 8;
}

/** Whether four invocations in a row can share what they load, and should: subgroups of four (SwiftShader). */
export function hasQuads({ adapter, subgroupSize: { min, max } }: DeviceProfile): boolean {
  return adapter.isSoftware && min === 4 && max === 4;
}

/** The `variantId` of a call; none for a plain variant, which nothing can stand in for. */
export function variantId(kernel: string, variant: string): { variantId?: string } {
  return variant === 'plain' ? {} : { variantId: `${kernel}:${variant}` };
}
