import { openGpu, type Gpu } from '@lapidary/gpu';
import {
  leastNanoseconds,
  measureCeiling,
  profileClock,
  sumByKernel,
  type DispatchTime,
  type ProfileClock,
} from '@lapidary/tensor';
import type { ResolvedTrainConfig } from '../../config/train-config.js';
import type { RunLogger } from '../../metrics/logger.js';
import type { TrainingProfile } from '../../metrics/training-profile.js';
import type { Batch } from '../../objectives/objective.js';
import { destroyModel } from '../prepare/plan-model.js';
import { noEvals, shapeKey, type StepPrograms } from '../prepare/plan-programs.js';
import { prepareRun, type PreparedRun } from '../prepare/prepare-run.js';
import { batchesOfStep } from '../train/batches.js';
import { loadModel } from '../train/load-model.js';
import { adapterOf, nameOfModel } from '../train/session.js';
import { Trainer } from '../train/trainer.js';
import { untilAborted } from '../until-aborted.js';

/** How a step is profiled. */
export interface ProfileTrainingOptions {
  /** Default: the best one is opened, and destroyed at the end. */
  readonly gpu?: Gpu;
  /** Steps to measure, each way. Default 3. */
  readonly runs?: number;
  readonly logger?: Pick<RunLogger, 'onPhase' | 'onNotice'>;
  readonly signal?: AbortSignal;
}

/** Steps before the first that is measured: drivers compile on the first dispatch. */
const warmUps = 2;

/**
 * Measures where the time of a run's first optimiser step goes, kernel by kernel, and what the device does at most. Opens model and
 * data as `runTraining` does; nothing is written. The step is taken several times: as training takes it, and with every kernel in
 * a pass of its own.
 * @throws RangeError for `runs`; what the config, data, weights and device throw; NonFiniteLossError; AbortError.
 */
export async function profileTraining(
  config: ResolvedTrainConfig,
  options: ProfileTrainingOptions = {},
): Promise<TrainingProfile> {
  const { runs = 3 } = options;
  if (!Number.isSafeInteger(runs) || runs < 1)
    throw new RangeError(`runs must be a whole number, 1 or more, not ${runs}.`);
  const gpu = options.gpu ?? (await openGpu());
  try {
    return await profile(gpu, config, { ...options, runs });
  } finally {
    if (options.gpu === undefined) gpu.destroy();
  }
}

type Measuring = ProfileTrainingOptions & { readonly runs: number };

async function profile(gpu: Gpu, config: ResolvedTrainConfig, options: Measuring): Promise<TrainingProfile> {
  const { logger, signal, runs } = options;
  const prepared = await prepareRun(config, gpu, {
    ...(logger && { logger }),
    ...(signal && { signal }),
  });
  try {
    const batches = await batchesOfStep(0, prepared, prepared.task.shapes(prepared.data.train));
    signal?.throwIfAborted();
    await logger?.onPhase?.({ name: "Measuring the adapter's ceiling" });
    const clock = profileClock(gpu);
    const ceiling = await measureCeiling(gpu, { clock });
    const measured = await measureSteps(gpu, prepared, batches, { ...options, clock });
    const { dispatches } = measured;
    const nanoseconds = dispatches.reduce((sum, dispatch) => sum + dispatch.nanoseconds, 0);
    const least = dispatches.reduce((sum, dispatch) => sum + leastNanoseconds(dispatch, ceiling), 0);
    return {
      model: nameOfModel(config.weightLoader),
      adapter: adapterOf(gpu),
      clock,
      runs,
      batches: batches.map(({ shape: { batch, length, pictures = 0 }, numTokens }) => ({
        rows: batch,
        length,
        pictures,
        tokens: numTokens,
      })),
      ceiling,
      stepMs: measured.stepMs,
      profiledStepMs: measured.profiledStepMs,
      nanoseconds,
      ofCeiling: nanoseconds > 0 ? least / nanoseconds : null,
      kernels: sumByKernel(dispatches, { ceiling }),
      dispatches,
    };
  } finally {
    await prepared.close();
  }
}

/** Takes the step of these batches, as training does and with kernels timed; medians. The model is on the device meanwhile. */
async function measureSteps(
  gpu: Gpu,
  prepared: PreparedRun,
  batches: readonly Batch[],
  { runs, clock, logger, signal }: Measuring & { readonly clock: ProfileClock },
): Promise<{ stepMs: number; profiledStepMs: number; dispatches: readonly DispatchTime[] }> {
  const { config, open, start, model, schedule } = prepared;
  const plan = { ...prepared.plan, training: onlyFor(prepared.plan.training, batches), evals: noEvals };
  let trainer: Trainer | undefined;
  try {
    const onProgress = (done: number, total: number) =>
      void logger?.onPhase?.({ name: 'Loading weights', done, total });
    const compiling = Trainer.prepare(gpu, plan);
    await loadModel(gpu, open.weights, model, config, { start, onProgress, compiling, ...(signal && { signal }) });
    await logger?.onPhase?.({ name: 'Compiling' });
    await untilAborted(compiling, signal);
    trainer = await Trainer.create(gpu, plan, { config, hostRows: open.weights.hostRows });
    let steps = 0;
    const next = () => [steps + 1, batches, schedule.schedule(steps++)] as const;
    for (let i = 0; i < warmUps; i++) {
      signal?.throwIfAborted();
      await trainer.step(...next());
    }
    const stepMs: number[] = [];
    const profiledStepMs: number[] = [];
    const profiled: DispatchTime[][] = [];
    // In turns, so that a noisy moment does not hit one of them alone.
    for (let i = 0; i < runs; i++) {
      signal?.throwIfAborted();
      await logger?.onPhase?.({ name: 'Profiling', done: i, total: runs });
      const began = performance.now();
      await trainer.step(...next());
      const between = performance.now();
      const programs = await trainer.profile(...next(), { clock });
      stepMs.push(between - began);
      profiledStepMs.push(performance.now() - between);
      profiled.push(programs.flatMap(({ dispatches }) => dispatches));
    }
    const dispatches = profiled[0]!.map((dispatch, i) => ({
      ...dispatch,
      nanoseconds: median(profiled.map((all) => all[i]!.nanoseconds)),
    }));
    return { stepMs: median(stepMs), profiledStepMs: median(profiledStepMs), dispatches };
  } finally {
    trainer?.destroy();
    destroyModel(model);
  }
}

/** The programs that these batches need. */
function onlyFor(training: StepPrograms, batches: readonly Batch[]): StepPrograms {
  const keys = new Set(batches.map(({ shape }) => shapeKey(shape)));
  const only = <P>(steps: ReadonlyMap<string, P>) => new Map([...steps].filter(([key]) => keys.has(key)));
  switch (training.kind) {
    case 'whole':
      return { ...training, steps: only(training.steps) };
    case 'micro':
      return { ...training, steps: only(training.steps) };
    case 'joint':
      return { ...training, outputs: only(training.outputs), steps: only(training.steps) };
  }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
