import { modelParamSpecs, patchCount, visionConfigOf, type ModelConfig } from '@lapidary/gemma';
import type { DeviceProfile } from '@lapidary/gpu';
import type { DType } from '@lapidary/kernels';
import { bucketLength } from '../data/batch.js';
import type { ResolvedTrainConfig } from '../config/train-config.js';
import { planModel, type ModelPlan } from './setup-model.js';
import { type BudgetedPlan, planWithinBudget } from './plan-within-budget.js';

/**
 * What a run on a model would take, from its configuration alone: nothing is read or downloaded. Rows are taken to be as long as
 * `maxLength` allows, all of it learned, with one picture each where the model sees pictures. Weights are bf16, as published.
 */
export function planPreset(
  profile: DeviceProfile,
  config: ModelConfig,
  run: ResolvedTrainConfig,
  dtype: DType = 'bf16',
): { readonly model: ModelPlan; readonly plan: BudgetedPlan } {
  const entries = new Map([...modelParamSpecs(config)].map(([path, { shape }]) => [path, { shape, dtype }]));
  const model = planModel({ config, weights: { entries } }, run);
  const vision = visionConfigOf(config);
  const length = bucketLength(run.maxLength, run.maxLength);
  const shape = {
    batch: run.batchSize,
    length,
    targets: run.batchSize * length,
    ...(vision && { patches: patchCount(vision) }),
  };
  const held = run.evalData !== null || run.evalFraction > 0 ? [shape] : [];
  const shapes = { train: [shape], held, accumulate: run.gradientAccumulation > 1 };
  const plan = planWithinBudget(profile, model, shapes, run);
  return { model, plan };
}
