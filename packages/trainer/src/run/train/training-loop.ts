import type { Variable } from '@lapidary/tensor';
import { WeightFileError, WeightSourceError } from '@lapidary/weights';
import { NonFiniteLossError, NonFiniteParameterError, TrainingInterruptedError } from '../../errors/errors.js';
import { readMetrics } from '../../metrics/metrics-file.js';
import { formatNumber } from '../../format/format.js';
import type { Batch, BatchShape } from '../../objectives/objective.js';
import { listCheckpoints, pruneCheckpoints, removeCheckpoint } from '../../store/save-checkpoint.js';
import { restoreRun, saveRun, type RunState } from '../checkpoints/run-checkpoints.js';
import type { ModelPlan } from '../prepare/plan-model.js';
import { batchesOfStep, measuredBatches } from './batches.js';
import { noEvaluations, stopsEarly, withEvaluation } from './evaluations.js';
import { findNonFinite } from './find-non-finite.js';
import { takeSamples, type Session } from './session.js';
import type { StepResult, Trainer } from './trainer.js';

/** What a run begins with, before its first evaluation. */
export type FreshState = Omit<RunState, 'baseEvalLoss' | keyof typeof noEvaluations>;

/** What a run has come to. */
export interface LoopResult {
  readonly state: RunState;
  readonly finalLoss: number | null;
  readonly finalEvalLoss: number | null;
  readonly secondsToFirstStep: number | null;
}

/** Takes the steps of a run, with evaluations, samples and checkpoints between them. */
export class TrainingLoop {
  readonly #session: Session;
  readonly #trainer: Trainer;
  #state: RunState;
  /** Step of the newest checkpoint. */
  #saved: number;
  /** Whether a step has been done from it: until then the one before is kept too. */
  #isProven = false;
  /** Whether it is of this process: one that was there before may have been gone on from. */
  #isOwn = false;
  /** Step of the best checkpoint before the newest, until that is proven. */
  #bestBefore: number | null = null;
  #finalLoss: number | null = null;
  #finalEvalLoss: number | null = null;
  #secondsToFirstStep: number | null = null;

  private constructor(session: Session, trainer: Trainer, state: RunState) {
    this.#session = session;
    this.#trainer = trainer;
    this.#state = state;
    this.#saved = state.step;
    this.#bestBefore = state.best?.step ?? null;
  }

  /** Whether there is no step left to take. */
  get #isDone(): boolean {
    const { schedule, config } = this.#session.prepared;
    return this.#state.step >= schedule.totalSteps || stopsEarly(this.#state, config);
  }

  /**
   * Goes on from a checkpoint's state, or begins: `fresh` is then the state without the loss of the base model, which is measured first.
   * @throws NonFiniteLossError where the model computes no finite loss; AbortError
   */
  static async begin(
    session: Session,
    trainer: Trainer,
    restored: RunState | null,
    fresh: FreshState,
  ): Promise<TrainingLoop> {
    const { signal } = session;
    signal?.throwIfAborted();
    const loop = new TrainingLoop(session, trainer, restored ?? { ...fresh, ...noEvaluations, baseEvalLoss: null });
    if (restored === null) loop.#state = { ...loop.#state, baseEvalLoss: await loop.#evaluate(0) };
    else await loop.#makeUp();
    signal?.throwIfAborted();
    return loop;
  }

  /** An evaluation that was cut short by a signal or an error is done now: what goes by evaluations is then as if there had been no stop. */
  async #makeUp(): Promise<void> {
    const { schedule, config } = this.#session.prepared;
    const { step, evaluated } = this.#state;
    if (evaluated === step || (step % schedule.evalEvery !== 0 && step < schedule.totalSteps)) return;
    const loss = await this.#evaluate(step);
    if (loss === null) return;
    this.#state = withEvaluation(this.#state, loss, config);
    if (this.#isDone || this.#state.best?.step === step) await this.#save();
  }

  /** All steps that are left. @throws TrainingInterruptedError, NonFiniteLossError; what is saved then stays. */
  async run(): Promise<LoopResult> {
    const { data, task, schedule } = this.#session.prepared;
    if (this.#isDone) await this.#readEnd();
    const shapes = task.shapes(data.train);
    let ahead: Promise<Batch[]> | undefined;
    while (!this.#isDone) {
      const from = performance.now();
      const { step } = this.#state;
      const batches = await (ahead ?? batchesOfStep(step, this.#session.prepared, shapes)).catch((error: unknown) =>
        this.#keepAndThrow(error),
      );
      const rate = schedule.schedule(step);
      const taking = this.#step(batches, rate);
      ahead = step + 1 < schedule.totalSteps ? this.#readAhead(step + 1, shapes) : undefined;
      const result = await taking;
      await this.#finishStep(result, batches, rate, performance.now() - from);
    }
    return {
      state: this.#state,
      finalLoss: this.#finalLoss,
      finalEvalLoss: this.#finalEvalLoss,
      secondsToFirstStep: this.#secondsToFirstStep,
    };
  }

  /** The batches of a later step, where rows are read for the first of them while the device works; undefined where none are. */
  #readAhead(step: number, shapes: readonly BatchShape[]): Promise<Batch[]> | undefined {
    if (!this.#trainer.readsAhead) return undefined;
    const ahead = batchesOfStep(step, this.#session.prepared, shapes).then((batches) => {
      for (const batch of batches.slice(0, 1)) this.#trainer.expect(batch);
      return batches;
    });
    // What goes wrong is told when the step begins, if there is one.
    ahead.catch(() => undefined);
    return ahead;
  }

  /** The losses of a run that was done already. */
  async #readEnd(): Promise<void> {
    const { logger, prepared, store } = this.#session;
    const { step } = this.#state;
    const { totalSteps } = prepared.schedule;
    const what =
      step < totalSteps ? `The run was stopped early after step ${step}` : `All ${totalSteps} steps are done`;
    await logger.onNotice(`${what} already; only the export is written again.`);
    const last = (await readMetrics(store)).find((record) => record.step === step);
    this.#finalLoss = last?.loss ?? null;
    this.#finalEvalLoss = last?.evalLoss ?? (await this.#evaluate(step));
    if (this.#finalEvalLoss === null) await this.#measureOne(step);
    const { data, task } = prepared;
    await this.#proveEnd(await batchesOfStep(step - 1, prepared, task.shapes(data.train)));
  }

  /** A picture that cannot be read may only be met now, in a batch or in an evaluation: what was learned before it is kept. */
  async #keepAndThrow(error: unknown): Promise<never> {
    if (this.#state.step > this.#saved && !(error instanceof NonFiniteLossError)) await this.#save();
    throw error;
  }

  async #step(batches: readonly Batch[], learningRate: number): Promise<StepResult> {
    const step = this.#state.step + 1;
    try {
      const result = await this.#trainer.step(step, batches, learningRate);
      await this.#prove();
      return result;
    } catch (error) {
      // Rows that could not be had change nothing of what was learned before.
      if (error instanceof WeightSourceError || error instanceof WeightFileError)
        return await this.#keepAndThrow(error);
      if (!(error instanceof NonFiniteLossError)) throw error;
      if (!this.#isProven) await this.#dropNewest();
      const { loss, gradNorm } = error;
      throw await this.#diverged({ step, loss, gradNorm });
    }
  }

  /** A step was done from the newest checkpoint: those before it are no longer needed. */
  async #prove(): Promise<void> {
    if (this.#isProven) return;
    this.#isProven = true;
    this.#bestBefore = this.#state.best?.step ?? null;
    const { store, prepared } = this.#session;
    const { keep, keepPeriod } = prepared.config;
    const also = stepsOf(this.#bestBefore);
    if (this.#saved > 0) await pruneCheckpoints(store, this.#saved, { newest: keep, period: keepPeriod, also });
  }

  /**
   * A step is tried from the last checkpoint, on the batches that were learned last and at a rate of 0: a loss may be finite where no gradient
   * is, of parameters that a normalisation makes nothing of. @throws NonFiniteLossError; the checkpoint is then gone
   */
  async #proveEnd(batches: readonly Batch[]): Promise<void> {
    const { gpu, store, prepared, logger } = this.#session;
    const { trained } = prepared.model.step;
    const { step } = this.#state;
    try {
      await this.#trainer.step(step + 1, batches, 0);
    } catch (error) {
      if (!(error instanceof NonFiniteLossError)) throw error;
      await this.#dropNewest();
      const { loss, gradNorm } = error;
      throw await this.#diverged({ step, loss, gradNorm, during: 'trial' });
    }
    await this.#prove();
    // Parameters stay at that rate, their averages move.
    if (trained.some(({ average }) => average !== undefined))
      await restoreRun(gpu, store, trained, { atMost: step, onNotice: logger.onNotice });
  }

  /** No step can be done from the newest checkpoint: it goes, unless it is all that is left of an earlier process. */
  async #dropNewest(): Promise<void> {
    const { store } = this.#session;
    const steps = await listCheckpoints(store);
    if (steps.includes(this.#saved) && (this.#isOwn || steps.some((step) => step < this.#saved)))
      await removeCheckpoint(store, this.#saved);
  }

  /** The error of a run that computes no finite loss any more. */
  async #diverged(what: { step: number; loss: number; gradNorm?: number | null; during?: 'evaluation' | 'trial' }) {
    const firstAt = await findNonFinite(suspects(this.#session.prepared.model, what.step));
    return new NonFiniteLossError({ ...what, firstAt, checkpoint: await this.#newestGood() });
  }

  /** Step of the newest checkpoint that a step was, or may be, done from; null where there is none. */
  async #newestGood(): Promise<number | null> {
    const steps = await listCheckpoints(this.#session.store);
    return steps.find((step) => (this.#isProven ? step <= this.#saved : step < this.#saved)) ?? null;
  }

  /** What follows a step: evaluation, samples, the record, a checkpoint; then the end, if it was asked for. */
  async #finishStep(
    { loss, metrics, gradNorm }: StepResult,
    batches: readonly Batch[],
    learningRate: number,
    stepMs: number,
  ): Promise<void> {
    const { gpu, prepared, logger, signal, began, foreignBytes } = this.#session;
    const { schedule, config } = prepared;
    const step = this.#state.step + 1;
    const tokens = batches.reduce((n, batch) => n + batch.numTokens, 0);
    this.#state = { ...this.#state, step, tokens: this.#state.tokens + tokens };
    this.#secondsToFirstStep ??= (performance.now() - began) / 1000;
    this.#finalLoss = loss;
    const told = (evalLoss: number | null) =>
      logger.onStep({
        step,
        epoch: step / schedule.stepsPerEpoch,
        loss,
        evalLoss,
        learningRate,
        gradNorm,
        tokensPerSecond: tokens / (stepMs / 1000),
        stepMs,
        peakBytes: gpu.counters.peakBytes - foreignBytes,
        ...(Object.keys(metrics).length > 0 && { metrics }),
      });
    let evalLoss: number | null = null;
    try {
      if (step === schedule.totalSteps || step % schedule.evalEvery === 0) evalLoss = await this.#evaluate(step);
      if (evalLoss !== null) {
        this.#finalEvalLoss = evalLoss;
        this.#state = withEvaluation(this.#state, evalLoss, config);
      }
      if (config.sampleEvery !== null && step % config.sampleEvery === 0 && !this.#isDone)
        await takeSamples(this.#session, step);
    } catch (error) {
      await told(evalLoss);
      return await this.#keepAndThrow(error);
    }
    await told(evalLoss);
    const isLast = this.#isDone;
    if (isLast && step < schedule.totalSteps) await this.#tellStop();
    const isBest = this.#state.best?.step === step;
    if (isLast || isBest || step % schedule.saveEvery === 0 || signal?.aborted) {
      if (evalLoss === null) await this.#measureOne(step);
      const name = await this.#save();
      await logger.onCheckpoint({ step, name });
      if (isLast) await this.#proveEnd(batches);
    }
    if (signal?.aborted && !isLast)
      throw new TrainingInterruptedError({
        step,
        checkpoint: `checkpoint ${this.#saved}`,
        location: this.#session.store.location,
      });
  }

  async #tellStop(): Promise<void> {
    const { logger } = this.#session;
    const { step, stalled } = this.#state;
    await logger.onNotice(
      `Stopped early, after step ${step}: ${stalled?.evaluations} evaluations without a loss below ${formatNumber(stalled?.loss ?? 0)} (\`earlyStopping\`).`,
    );
  }

  async #save(): Promise<string> {
    const { store, prepared } = this.#session;
    const { config, model, pictures } = prepared;
    const { step, best } = this.#state;
    // One more, and the best one before, until it is known that a step can be done from this one.
    const keep = { newest: config.keep + 1, period: config.keepPeriod, also: stepsOf(best?.step, this.#bestBefore) };
    try {
      const state = { ...this.#state, pictures: pictures.fingerprints() };
      const name = await saveRun(store, model.step.trained, state, keep);
      this.#saved = step;
      this.#isProven = false;
      this.#isOwn = true;
      return name;
    } catch (error) {
      if (!(error instanceof NonFiniteParameterError)) throw error;
      throw new NonFiniteParameterError({ path: error.path, step, checkpoint: await this.#newestGood() });
    }
  }

  /** The loss of one batch after `step` steps, where no evaluation told that the model computes. @throws NonFiniteLossError */
  async #measureOne(step: number): Promise<void> {
    const { prepared } = this.#session;
    const found = await this.#trainer.evaluate(firstOf(measuredBatches(prepared)));
    if (found !== null && !Number.isFinite(found.loss))
      throw await this.#diverged({ step, loss: found.loss, during: 'evaluation' });
  }

  /**
   * Mean loss of the held-out rows after `step` steps; null where there are none, or the signal ended it before the last step.
   * @throws NonFiniteLossError
   */
  async #evaluate(step: number): Promise<number | null> {
    const { prepared, logger, signal } = this.#session;
    const { data, schedule } = prepared;
    if (data.held.length === 0) return null;
    const from = performance.now();
    const found = await this.#trainer.evaluate(
      measuredBatches(prepared),
      step < schedule.totalSteps ? signal : undefined,
    );
    if (found === null) return null;
    const { loss, metrics } = found;
    const seconds = (performance.now() - from) / 1000;
    const more = Object.keys(metrics).length > 0 ? { metrics } : {};
    if (!Number.isFinite(loss)) throw await this.#diverged({ step, loss, during: 'evaluation' });
    await logger.onEval({ step, loss, rows: data.held.length, seconds, ...more });
    return loss;
  }
}

const stepsOf = (...steps: readonly (number | null | undefined)[]): number[] => steps.flatMap((step) => step ?? []);

async function* firstOf<T>(items: AsyncIterable<T>): AsyncGenerator<T> {
  for await (const item of items) {
    yield item;
    return;
  }
}

/** What may hold the first value that is not finite: what is trained, and at the start all of the model. */
function suspects({ variables, step: { trained } }: ModelPlan, step: number): (readonly [string, Variable])[] {
  const learned = trained.map(({ path, param }) => [path, param] as const);
  return step > 1 ? learned : [...learned, ...variables];
}
