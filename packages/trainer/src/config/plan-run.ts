import { createSchedule, type Schedule } from '../schedule/schedule.js';
import type { ResolvedTrainConfig } from './train-config.js';

/** What the config leaves open until the number of rows is known. Counts are optimizer steps. */
export interface RunSchedule {
  readonly totalSteps: number;
  readonly stepsPerEpoch: number;
  readonly warmupSteps: number;
  readonly evalEvery: number;
  readonly saveEvery: number;
  readonly schedule: Schedule;
}

/**
 * Fixes the length of a run over `rows` training rows and everything that depends on it. An epoch is the rows divided by
 * batchSize × gradientAccumulation, rounded up.
 */
export function planRun(config: ResolvedTrainConfig, rows: number): RunSchedule {
  const stepsPerEpoch = Math.max(1, Math.ceil(rows / (config.batchSize * config.gradientAccumulation)));
  const totalSteps = config.steps ?? Math.max(1, Math.round(stepsPerEpoch * (config.epochs ?? 1)));
  const { type, warmupRule, timescale, endLearningRate, ...given } = config.schedule;
  const peak = config.optimizer.learningRate;
  const warmupSteps = given.warmupSteps ?? Math.min(1000, Math.round(totalSteps / 30));
  const tenth = Math.max(1, Math.ceil(totalSteps / 10));
  return {
    totalSteps,
    stepsPerEpoch,
    warmupSteps,
    evalEvery: config.evalEvery ?? tenth,
    saveEvery: config.saveEvery ?? Math.min(1000, tenth),
    schedule: createSchedule({
      type,
      peak,
      warmupSteps,
      warmupRule,
      timescale,
      decaySteps: Math.max(given.decaySteps ?? totalSteps, warmupSteps + 1),
      end: endLearningRate ?? peak / 10,
    }),
  };
}
