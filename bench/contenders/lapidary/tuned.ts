import type { Gpu } from '@lapidary/gpu';
import { type MatmulProduct, tuneKernels } from '@lapidary/kernels';

/** A plan with the kernels that are fastest on a GPU, as runs get it; on adapters of the CPU with those of the rules, as runs do. */
export async function tuned<P>(gpu: Gpu, make: () => P, productsOf: (plan: P) => Iterable<MatmulProduct>): Promise<P> {
  const plan = make();
  if (gpu.profile.adapter.isSoftware) return plan;
  await tuneKernels(gpu, productsOf(plan), { store: null });
  return make();
}
