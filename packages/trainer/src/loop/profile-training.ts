import { openGpu, type Gpu } from '@lapidary/gpu';
import { checkKernels } from '@lapidary/kernels';
import {
  leastNanoseconds,
  measureCeiling,
  profileClock,
  sumByKernel,
  type Ceiling,
  type DispatchTime,
  type KernelTime,
  type ProfileClock,
} from '@lapidary/tensor';
import { planRun } from '../config/plan-run.js';
import type { ResolvedTrainConfig } from '../config/train-config.js';
import { batchShapes } from '../data/batch.js';
import type { RunLogger } from '../metrics/logger.js';
import type { AdapterInfo } from '../metrics/run-records.js';
import { checkFit } from './check-fit.js';
import { adapterOf, batchesOfStep, openData, planRunMemory } from './run-training.js';
import { destroyModel, loadModel, openModel, planModel } from './setup-model.js';
import { Trainer } from './trainer.js';
import { planTuned } from './tuned-plan.js';
import { untilAborted } from './until-aborted.js';

/** Where the time of one optimiser step goes. Plain data. */
export interface TrainingProfile {
  /** The model, as its loader describes it. */
  readonly model: string;
  readonly adapter: AdapterInfo;
  /** What the kernels were timed by; `ceiling` too. */
  readonly clock: ProfileClock;
  /** Steps that were measured either way; times are medians of them. */
  readonly runs: number;
  /** The step's micro-batches. */
  readonly batches: readonly {
    readonly rows: number;
    /** Of each row, padding included. */
    readonly length: number;
    readonly patches: number;
    /** Tokens that are no padding. */
    readonly tokens: number;
  }[];
  readonly ceiling: Ceiling;
  /** A step as training runs it, by the host's clock, milliseconds. */
  readonly stepMs: number;
  /** A step with its kernels timed, by the host's clock, milliseconds: profiling's own cost is the difference. */
  readonly profiledStepMs: number;
  /** All kernels of a step together, by `clock`. */
  readonly nanoseconds: number;
  /** Of all kernels together; see `KernelTime`. */
  readonly ofCeiling: number | null;
  /** Slowest first. */
  readonly kernels: readonly KernelTime[];
  /** Every dispatch of the step, in the order they run. */
  readonly dispatches: readonly DispatchTime[];
}

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

async function profile(
  gpu: Gpu,
  run: ResolvedTrainConfig,
  { runs, logger, signal }: ProfileTrainingOptions & { readonly runs: number },
): Promise<TrainingProfile> {
  const { disabled } = await checkKernels(gpu, { notice: () => undefined });
  for (const { message } of disabled) await logger?.onNotice?.(message);
  await logger?.onPhase?.({ name: 'Opening model and data' });
  const open = await openModel(run.weightLoader);
  try {
    const data = await openData(run, open);
    for (const notice of data.notices) await logger?.onNotice?.(notice);
    const { stepsPerEpoch, schedule } = planRun(run, data.train.length);
    const shapes = batchShapes(data.train, run.batchSize, run.maxLength, data.patches);
    const batches = await batchesOfStep(0, stepsPerEpoch, data, run, shapes);
    const lengths = new Set(batches.map(({ shape }) => shape.length));
    const model = planModel(open, run);
    const planWith = (profile: Gpu['profile']) => planRunMemory(profile, model, { ...data, held: [] }, run);
    const { plan: whole } = await planTuned(gpu, planWith, {
      mode: run.kernelTuning,
      precision: run.matmulPrecision,
      ...(logger && { logger }),
      ...(signal && { signal }),
    });
    const plan = { ...whole, steps: new Map([...whole.steps].filter(([length]) => lengths.has(length))) };
    const tight = checkFit(gpu.profile, plan, run);
    if (tight !== null) await logger?.onNotice?.(tight);

    signal?.throwIfAborted();
    await logger?.onPhase?.({ name: "Measuring the adapter's ceiling" });
    const clock = profileClock(gpu);
    const ceiling = await measureCeiling(gpu, { clock });
    let trainer: Trainer | undefined;
    try {
      const onProgress = (done: number, total: number) =>
        void logger?.onPhase?.({ name: 'Loading weights', done, total });
      const compiling = Trainer.prepare(gpu, plan);
      await loadModel(gpu, open, model, run, { onProgress, compiling, ...(signal && { signal }) });
      await logger?.onPhase?.({ name: 'Compiling' });
      await untilAborted(compiling, signal);
      trainer = await Trainer.create(gpu, plan, run);
      let steps = 0;
      const next = () => [steps + 1, batches, schedule(steps++)] as const;
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
      const nanoseconds = dispatches.reduce((sum, dispatch) => sum + dispatch.nanoseconds, 0);
      const least = dispatches.reduce((sum, dispatch) => sum + leastNanoseconds(dispatch, ceiling), 0);
      return {
        model: String(run.weightLoader.description ?? ''),
        adapter: adapterOf(gpu),
        clock,
        runs,
        batches: batches.map(({ shape: { batch, length, patches = 0 }, numTokens }) => ({
          rows: batch,
          length,
          patches,
          tokens: numTokens,
        })),
        ceiling,
        stepMs: median(stepMs),
        profiledStepMs: median(profiledStepMs),
        nanoseconds,
        ofCeiling: nanoseconds > 0 ? least / nanoseconds : null,
        kernels: sumByKernel(dispatches, { ceiling }),
        dispatches,
      };
    } finally {
      trainer?.destroy();
      destroyModel(model);
    }
  } finally {
    await open.weights.close();
  }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
