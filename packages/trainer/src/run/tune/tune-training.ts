import { openGpu, type Gpu } from '@lapidary/gpu';
import type { KernelTuning, TuneKernelsOptions } from '@lapidary/kernels';
import type { ResolvedTrainConfig } from '../../config/train-config.js';
import type { RunLogger } from '../../metrics/logger.js';
import type { AdapterInfo } from '../../metrics/run-records.js';
import { prepareRun } from '../prepare/prepare-run.js';
import { adapterOf, nameOfModel } from '../train/session.js';

/** What was chosen for the products of a run. Plain data. */
export interface TrainingTuning extends KernelTuning {
  /** The model, as its loader describes it. */
  readonly model: string;
  readonly adapter: AdapterInfo;
}

/** How the kernels of a run are measured. */
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
  config: ResolvedTrainConfig,
  { gpu: given, logger, signal, ...measuring }: TuneTrainingOptions = {},
): Promise<TrainingTuning> {
  const gpu = given ?? (await openGpu());
  try {
    const prepared = await prepareRun(config, gpu, {
      tuning: { ...measuring, mode: 'always' },
      // No weight is loaded.
      refuse: false,
      ...(logger && { logger }),
      ...(signal && { signal }),
    });
    await prepared.close();
    return { ...prepared.tuning!, model: nameOfModel(config.weightLoader), adapter: adapterOf(gpu) };
  } finally {
    if (given === undefined) gpu.destroy();
  }
}
