import { openGpu, type Gpu } from '@lapidary/gpu';
import type { ResolvedTrainConfig } from '../../config/train-config.js';
import { NonFiniteLossError } from '../../errors/errors.js';
import { formatNumber } from '../../format/format.js';
import type { RunLogger } from '../../metrics/logger.js';
import type { RatePoint, RateSearch } from '../../metrics/rate-search.js';
import { optimizerOf } from '../../optimizers/registry.js';
import { destroyModel } from '../prepare/plan-model.js';
import { noEvals } from '../prepare/plan-programs.js';
import { prepareRun, type PreparedRun } from '../prepare/prepare-run.js';
import { batchesOfStep } from '../train/batches.js';
import { loadModel } from '../train/load-model.js';
import { adapterOf, nameOfModel } from '../train/session.js';
import { Trainer } from '../train/trainer.js';
import { untilAborted } from '../until-aborted.js';
import { isAtEnd, rateAt, SmoothedLosses, suggestRate, type RateRange } from './range-test.js';

/** How a learning rate is searched for. */
export interface FindLearningRateOptions {
  /** Rate of the first step. Default 1e-7. */
  readonly from?: number;
  /** Rate of the last step. Default 1. At most what the optimiser goes by at that step. */
  readonly to?: number;
  /** Default 100, at least 20. */
  readonly steps?: number;
  /** Default: the best one is opened, and destroyed at the end. */
  readonly gpu?: Gpu;
  readonly logger?: Pick<RunLogger, 'onPhase' | 'onNotice'>;
  readonly signal?: AbortSignal;
}

/**
 * Searches for a learning rate as fastai's `lr_find` does: trains on the run's batches while the rate grows step by step, until the loss goes
 * away, and suggests the rate at which it falls most steeply. Opens model and data as `runTraining` does; nothing is written, and what was
 * trained is not kept.
 * @throws RangeError for `from`, `to` and `steps`; what the config, data, weights and device throw; AbortError.
 */
export async function findLearningRate(
  config: ResolvedTrainConfig,
  options: FindLearningRateOptions = {},
): Promise<RateSearch> {
  const { from = 1e-7, to: wanted = 1, steps = 100 } = options;
  if (!Number.isSafeInteger(steps) || steps < 20)
    throw new RangeError(`steps must be a whole number, 20 or more, not ${steps}.`);
  if (!(from > 0) || !(wanted > from) || !Number.isFinite(wanted))
    throw new RangeError(`from must be above 0 and to above it, not ${from} and ${wanted}.`);
  const { type } = config.optimizer;
  const largest = optimizerOf(type).largestRate?.(steps) ?? Infinity;
  if (from >= largest)
    throw new RangeError(
      `from must be below ${formatNumber(largest)}, the largest rate of ${type} at step ${steps}, not ${from}.`,
    );
  const to = Math.min(wanted, largest);
  if (to < wanted)
    await options.logger?.onNotice?.(
      `At step ${steps} ${type} makes the same step at every rate above ${formatNumber(largest)}: none above it is tried.`,
    );
  const gpu = options.gpu ?? (await openGpu());
  try {
    const found = await search(gpu, config, { from, to, steps }, options);
    const { suggested, diverged, points } = found;
    if (suggested !== null && !diverged && to < largest && isAtEnd(points, suggested))
      await options.logger?.onNotice?.(
        'The loss falls most steeply at the end of the rates that were tried: a larger one may be better. End the range later.',
      );
    return found;
  } finally {
    if (options.gpu === undefined) gpu.destroy();
  }
}

async function search(
  gpu: Gpu,
  config: ResolvedTrainConfig,
  range: RateRange,
  { logger, signal }: FindLearningRateOptions,
): Promise<RateSearch> {
  const about = { ...(logger && { logger }), ...(signal && { signal }) };
  const prepared = await prepareRun(config, gpu, about);
  try {
    const found = await takeSteps(gpu, prepared, range, about);
    return {
      model: nameOfModel(config.weightLoader),
      adapter: adapterOf(gpu),
      optimizer: config.optimizer.type,
      ...found,
      suggested: suggestRate(found.points, range.steps),
    };
  } finally {
    await prepared.close();
  }
}

/** The model is on the device meanwhile. */
async function takeSteps(
  gpu: Gpu,
  prepared: PreparedRun,
  range: RateRange,
  { logger, signal }: Pick<FindLearningRateOptions, 'logger' | 'signal'>,
): Promise<Pick<RateSearch, 'points' | 'diverged'>> {
  const { config, open, model, task, data } = prepared;
  const plan = { ...prepared.plan, evals: noEvals };
  const shapes = task.shapes(data.train);
  const points: RatePoint[] = [];
  let trainer: Trainer | undefined;
  try {
    const onProgress = (done: number, total: number) => logger?.onPhase?.({ name: 'Loading weights', done, total });
    const compiling = Trainer.prepare(gpu, plan);
    await loadModel(gpu, open.weights, model, config, { onProgress, compiling, ...(signal && { signal }) });
    await logger?.onPhase?.({ name: 'Compiling' });
    await untilAborted(compiling, signal);
    trainer = await Trainer.create(gpu, plan, { config, hostRows: open.weights.hostRows });
    const losses = new SmoothedLosses();
    for (let i = 0; i < range.steps; i++) {
      signal?.throwIfAborted();
      await logger?.onPhase?.({ name: 'Trying rates', done: i, total: range.steps });
      const rate = rateAt(i, range);
      const { loss } = await trainer.step(i + 1, await batchesOfStep(i, prepared, shapes), rate);
      const { smoothed, isGone } = losses.add(loss);
      points.push({ rate, loss, smoothed });
      if (isGone) return { points, diverged: true };
    }
    return { points, diverged: false };
  } catch (error) {
    // At such a rate that is no surprise, unless it is the first step's.
    if (error instanceof NonFiniteLossError && points.length > 0) return { points, diverged: true };
    throw error;
  } finally {
    trainer?.destroy();
    destroyModel(model);
  }
}
