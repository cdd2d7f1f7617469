import { deriveProfile, type DeviceProfile, type Gpu, type MatmulPrecision } from '@lapidary/gpu';
import { type MatmulProduct, tuneKernels } from '@lapidary/kernels';

/** A plan with the kernels that are fastest on a GPU, as runs get it; on adapters of the CPU with those of the rules, as runs do. */
export async function tuned<P>(
  gpu: Gpu,
  make: (profile: DeviceProfile) => P,
  productsOf: (plan: P) => Iterable<MatmulProduct>,
  matmulPrecision: MatmulPrecision = 'float32',
): Promise<P> {
  const profile = deriveProfile(gpu.profile, { matmulPrecision });
  const plan = make(profile);
  if (gpu.profile.adapter.isSoftware) return plan;
  const { choices } = await tuneKernels(gpu, productsOf(plan), { store: null, profile });
  return make(deriveProfile(profile, { kernelChoices: choices }));
}
