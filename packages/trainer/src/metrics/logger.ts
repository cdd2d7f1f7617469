import { withoutSecrets } from '@lapidary/weights';
import type { EvalRecord, RunStart, SampleRecord, StepRecord, TrainingSummary } from './run-records.js';

/** What is being prepared: `Loading weights`, `Compiling`; `done` and `total` in any unit where known, and more in words. */
export interface Phase {
  readonly name: string;
  readonly done?: number;
  readonly total?: number;
  readonly detail?: string;
}

/**
 * Hears what happens in a run. The loop waits for what a method returns. For a step: `onEval` and `onSample` of that step come
 * before its `onStep`, which carries the evaluation's loss too.
 */
export interface RunLogger {
  onPhase?(phase: Phase): void | Promise<void>;
  onStart?(start: RunStart): void | Promise<void>;
  onStep?(record: StepRecord): void | Promise<void>;
  onEval?(record: EvalRecord): void | Promise<void>;
  onSample?(record: SampleRecord): void | Promise<void>;
  onCheckpoint?(checkpoint: { readonly step: number; readonly name: string }): void | Promise<void>;
  /** Something the user should know that is no error: a damaged checkpoint passed over, rows left out. */
  onNotice?(message: string): void | Promise<void>;
  onEnd?(summary: TrainingSummary): void | Promise<void>;
  /** The run ended with an error or was interrupted; `onEnd` is not called. */
  onFail?(error: unknown): void | Promise<void>;
}

/** One logger that passes everything to several, in order; notices without secrets, as they end in files. */
export function combineLoggers(...loggers: readonly RunLogger[]): Required<RunLogger> {
  return {
    onPhase: async (phase) => {
      for (const logger of loggers) await logger.onPhase?.(phase);
    },
    onStart: async (start) => {
      for (const logger of loggers) await logger.onStart?.(start);
    },
    onStep: async (record) => {
      for (const logger of loggers) await logger.onStep?.(record);
    },
    onEval: async (record) => {
      for (const logger of loggers) await logger.onEval?.(record);
    },
    onSample: async (record) => {
      for (const logger of loggers) await logger.onSample?.(record);
    },
    onCheckpoint: async (checkpoint) => {
      for (const logger of loggers) await logger.onCheckpoint?.(checkpoint);
    },
    onNotice: async (message) => {
      const shown = withoutSecrets(message);
      for (const logger of loggers) await logger.onNotice?.(shown);
    },
    onEnd: async (summary) => {
      for (const logger of loggers) await logger.onEnd?.(summary);
    },
    onFail: async (error) => {
      for (const logger of loggers) await logger.onFail?.(error);
    },
  };
}
