import { textConfigOf, visionConfigOf } from '@lapidary/gemma';
import type { DeviceProfile } from '@lapidary/gpu';
import type { ResolvedTrainConfig } from '../config/train-config.js';
import { RunTooLargeError } from '../errors/errors.js';
import { formatBytes } from '../metrics/format.js';
import { adviceFor } from './check-fit.js';
import type { ModelPlan } from './setup-model.js';
import { planTraining, type TrainPlan } from './train-plan.js';

/** A run's plan, and how many blocks it computes again in the backward pass. */
export interface BudgetedPlan extends TrainPlan {
  readonly blocks: { readonly recomputed: number; readonly total: number };
}

/**
 * Plans a run. Under a `memoryBudget` the values of as few blocks as possible are computed again in the backward pass: every block
 * costs about as much time, and the first ones leave the most room, as their turn comes when little else is kept.
 * @throws RunTooLargeError where even all of them leave it too large
 */
export function planWithinBudget(
  profile: DeviceProfile,
  model: ModelPlan,
  shapes: Parameters<typeof planTraining>[2],
  run: Pick<ResolvedTrainConfig, 'gradientCheckpointing' | 'memoryBudget' | 'lora'>,
): BudgetedPlan {
  const { config } = model.step;
  const total = textConfigOf(config).numLayers + (visionConfigOf(config)?.numLayers ?? 0);
  const planWith = (recomputed: number): BudgetedPlan => {
    const options = { ...model.step.options, gradientCheckpointing: recomputed };
    return {
      ...planTraining(profile, { ...model, step: { ...model.step, options } }, shapes),
      blocks: { recomputed, total },
    };
  };
  const budget = run.memoryBudget ?? Number.POSITIVE_INFINITY;
  const first = planWith(run.gradientCheckpointing ? total : 0);
  if (first.totalBytes <= budget) return first;

  let best = run.gradientCheckpointing ? first : planWith(total);
  if (best.totalBytes > budget) {
    const reason = `with all ${total} blocks computed again in the backward pass it takes ${formatBytes(best.totalBytes)}, and the memory budget is ${formatBytes(budget)}`;
    throw new RunTooLargeError({
      reason,
      advice: adviceFor(best, { ...run, gradientCheckpointing: true }),
      bytes: best.totalBytes,
    });
  }
  // More blocks never take more memory: the fewest that fit lie between what did not and what did.
  let tooFew = 0;
  while (best.blocks.recomputed - tooFew > 1) {
    const plan = planWith(Math.ceil((tooFew + best.blocks.recomputed) / 2));
    if (plan.totalBytes <= budget) best = plan;
    else tooFew = plan.blocks.recomputed;
  }
  return best;
}

/** What to tell the user of blocks that are computed again for a budget; null where there are none. */
export function describeRecomputed({ blocks, totalBytes }: BudgetedPlan, budget: number | null): string | null {
  if (budget === null || blocks.recomputed === 0) return null;
  const { recomputed, total } = blocks;
  return `${recomputed} of ${total} blocks are computed again in the backward pass, so that training takes ${formatBytes(totalBytes)} and stays within ${formatBytes(budget)}.`;
}
