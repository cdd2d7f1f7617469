import type { Gpu } from '@lapidary/gpu';
import type { RunLogger } from '../metrics/logger.js';
import type { TrainingSummary } from '../metrics/run-records.js';
import type { FileStore } from '../store/file-store.js';
import type { ResolvedTrainConfig } from './train-config.js';

/** What a run is given beside its config. */
export interface TrainingOptions {
  /** Hears everything that happens; `combineLoggers` makes one of several. */
  readonly logger?: RunLogger;
  /** When it fires, the step under way is finished, a checkpoint saved and TrainingInterruptedError thrown. */
  readonly signal?: AbortSignal;
  /** Where the run's files go; by default the folder `config.outDir`; in a page one of its private file system (OPFS). */
  readonly store?: FileStore;
  /** An open device; by default the best one is opened, and destroyed at the end. */
  readonly gpu?: Gpu;
}

/** Trains from a config to the files in its output folder: adapter, checkpoints, metrics, summary, report. */
export type RunTraining = (config: ResolvedTrainConfig, options?: TrainingOptions) => Promise<TrainingSummary>;
