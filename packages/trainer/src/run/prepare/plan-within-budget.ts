import type { DeviceProfile } from '@lapidary/gpu';
import type { ResolvedTrainConfig } from '../../config/train-config.js';
import { RunTooLargeError } from '../../errors/errors.js';
import { formatBytes } from '../../format/format.js';
import type { SamplePlan } from '../../objectives/objective.js';
import { adviceFor } from './check-fit.js';
import type { ModelPlan } from './plan-model.js';
import { planTraining, type RunShapes, type TrainPlan } from './plan-programs.js';

/** A run's plan, evaluations and samples included: `totalBytes` is the most that is on the device at any time. */
export interface RunPlan extends TrainPlan {
  /** How many blocks are computed again in the backward pass. */
  readonly blocks: { readonly recomputed: number; readonly total: number };
  /** Null where none are taken. */
  readonly samples: SamplePlan | null;
  /** What samples would take that are left out, since they do not fit the memory budget; 0 where none are. */
  readonly samplesLeftOut: number;
}

type BudgetSettings = Pick<
  ResolvedTrainConfig,
  'gradientCheckpointing' | 'memoryBudget' | 'lora' | 'quantize' | 'sampleEvery'
>;

/**
 * Plans a run. Under a `memoryBudget` the values of as few blocks as possible are computed again in the backward pass: every block
 * costs about as much time, and the first ones leave the most room, as their turn comes when little else is kept. Samples that would
 * go beyond the budget even so are left out.
 * @throws RunTooLargeError where even all of that leaves it too large
 */
export function planWithinBudget(
  profile: DeviceProfile,
  model: ModelPlan,
  shapes: RunShapes,
  samples: SamplePlan | null,
  run: BudgetSettings,
): RunPlan {
  const total = model.step.model.numBlocks;
  const budget = run.memoryBudget ?? Number.POSITIVE_INFINITY;
  const planned = new Map<number, TrainPlan>();
  const trainingWith = (recomputed: number): TrainPlan => {
    const options = { ...model.step.options, gradientCheckpointing: recomputed };
    const plan =
      planned.get(recomputed) ?? planTraining(profile, { ...model, step: { ...model.step, options } }, shapes);
    planned.set(recomputed, plan);
    return plan;
  };
  const planWith = (recomputed: number, taken: SamplePlan | null): RunPlan =>
    withSamples(trainingWith(recomputed), { recomputed, total }, taken, samples, run);

  const first = planWith(run.gradientCheckpointing ? total : 0, samples);
  if (first.totalBytes <= budget) return first;
  const least = planWith(total, samples);
  if (least.totalBytes <= budget) return fewestBlocks(least, (recomputed) => planWith(recomputed, samples), budget);
  const without = planWith(total, null);
  if (without.totalBytes <= budget && run.gradientCheckpointing) return without;
  if (without.totalBytes <= budget) return fewestBlocks(without, (recomputed) => planWith(recomputed, null), budget);
  const reason = `with all ${total} blocks computed again in the backward pass it takes ${formatBytes(without.totalBytes)}, and the memory budget is ${formatBytes(budget)}`;
  throw new RunTooLargeError({
    reason,
    advice: adviceFor(without, { ...run, gradientCheckpointing: true }),
    bytes: without.totalBytes,
  });
}

/** More blocks never take more memory: the fewest that fit lie between none and `best`, which fits. */
function fewestBlocks(best: RunPlan, planWith: (recomputed: number) => RunPlan, budget: number): RunPlan {
  const none = planWith(0);
  if (none.totalBytes <= budget) return none;
  let fewest = best;
  let tooFew = 0;
  while (fewest.blocks.recomputed - tooFew > 1) {
    const plan = planWith(Math.ceil((tooFew + fewest.blocks.recomputed) / 2));
    if (plan.totalBytes <= budget) fewest = plan;
    else tooFew = plan.blocks.recomputed;
  }
  return fewest;
}

/**
 * A training plan with what is on the device beside it for a while: a checkpoint being written, or samples, where they are taken during
 * training; else these stand beside the model alone.
 */
function withSamples(
  training: TrainPlan,
  blocks: RunPlan['blocks'],
  samples: SamplePlan | null,
  wanted: SamplePlan | null,
  { sampleEvery }: Pick<BudgetSettings, 'sampleEvery'>,
): RunPlan {
  const bytes = samples?.bytes ?? 0;
  const during = sampleEvery === null ? 0 : bytes;
  const beside = Math.max(training.readBackBytes, during);
  const totalBytes = Math.max(training.totalBytes + beside, training.modelBytes + bytes);
  const beyond = totalBytes - training.totalBytes;
  return {
    ...training,
    memory: [
      ...training.memory,
      ...(beyond > 0 ? [{ category: bytes > 0 ? 'Samples and checkpoints' : 'Checkpoints', bytes: beyond }] : []),
    ],
    totalBytes,
    blocks,
    samples,
    samplesLeftOut: samples === null ? (wanted?.bytes ?? 0) : 0,
  };
}

/** What to tell the user of what a run does to stay within its budget; nothing where it does nothing. */
export function describeBudget(
  plan: RunPlan,
  { memoryBudget: budget, sampleEvery }: Pick<BudgetSettings, 'memoryBudget' | 'sampleEvery'>,
): readonly string[] {
  const recomputed = describeRecomputed(plan, budget);
  const { samplesLeftOut, modelBytes, totalBytes } = plan;
  const [beside, advice] =
    sampleEvery === null
      ? [`the model's ${formatBytes(modelBytes)}`, '']
      : [
          `training's ${formatBytes(totalBytes)}`,
          'Samples before and after training alone (no `sampleEvery`) take less. ',
        ];
  return [
    ...(recomputed === null ? [] : [recomputed]),
    ...(budget === null || samplesLeftOut === 0
      ? []
      : [
          `No samples are taken: beside ${beside} they would take ${formatBytes(samplesLeftOut)}, and the memory budget is ${formatBytes(budget)}. ${advice}Shorter answers (\`sampleTokens\`) take less.`,
        ]),
  ];
}

/** What to tell the user of blocks that are computed again for a budget; null where there are none. */
export function describeRecomputed(
  { blocks, totalBytes }: Pick<RunPlan, 'blocks' | 'totalBytes'>,
  budget: number | null,
): string | null {
  if (budget === null || blocks.recomputed === 0) return null;
  const { recomputed, total } = blocks;
  return `${recomputed} of ${total} blocks are computed again in the backward pass, so that training takes ${formatBytes(totalBytes)} and stays within ${formatBytes(budget)}.`;
}
