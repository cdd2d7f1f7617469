import { openGpu, type Gpu } from '@lapidary/gpu';
import type { KernelTuning, TuneKernelsOptions } from '@lapidary/kernels';
import type { ResolvedTrainConfig } from '../config/train-config.js';
import type { RunLogger } from '../metrics/logger.js';
import type { AdapterInfo } from '../metrics/run-records.js';
import { adapterOf, openData, planRunMemory } from './run-training.js';
import { openModel, planModel } from './setup-model.js';
import { planTuned } from './tuned-plan.js';

/** What was chosen for the products of a run. Plain data. */
export interface TrainingTuning extends KernelTuning {
  /** The model, as its loader describes it. */
  readonly model: string;
  readonly adapter: AdapterInfo;
}

export interface TuneTrainingOptions extends Pick<TuneKernelsOptions, 'again' | 'signal' | 'store' | 'clock'> {
  /** Default: the best one is opened, and destroyed at the end. */
  readonly gpu?: Gpu;
  readonly logger?: Pick<RunLogger, 'onPhase' | 'onNotice'>;
}

/**
 * Measures which variants of a run's matrix products are fastest on this device, whichever it is, and keeps that for runs; see
 * `tuneKernels`. Model and data are opened as `runTraining` does it, but no weight is loaded.
 * @throws what the config, data, weights and device throw; AbortError.
 */
export async function tuneTraining(
  run: ResolvedTrainConfig,
  { gpu: given, ...options }: TuneTrainingOptions = {},
): Promise<TrainingTuning> {
  const { logger } = options;
  const gpu = given ?? (await openGpu());
  try {
    await logger?.onPhase?.({ name: 'Opening model and data' });
    const open = await openModel(run.weightLoader);
    try {
      const data = await openData(run, open);
      for (const notice of data.notices) await logger?.onNotice?.(notice);
      const model = planModel(open, run);
      const make = (profile: Gpu['profile']) => planRunMemory(profile, model, data, run);
      const { tuning } = await planTuned(gpu, make, { ...options, mode: 'always', precision: run.matmulPrecision });
      return { ...tuning!, model: String(run.weightLoader.description ?? ''), adapter: adapterOf(gpu) };
    } finally {
      await open.weights.close();
    }
  } finally {
    if (given === undefined) gpu.destroy();
  }
}
