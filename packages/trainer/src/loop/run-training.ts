import { createTextStream, Generator, textConfigOf } from '@lapidary/gemma';
import { GpuOutOfMemoryError, openGpu, type Gpu } from '@lapidary/gpu';
import { openRunData, openRunStore } from '#run-files';
import { echoConfig } from '../config/config-echo.js';
import { planRun } from '../config/plan-run.js';
import type { RunTraining, TrainingOptions } from '../config/run-types.js';
import type { DataOptions, ResolvedTrainConfig } from '../config/train-config.js';
import { batchShapes, makeBatch, type Batch } from '../data/batch.js';
import { epochOrder, splitRows } from '../data/order.js';
import { readJsonl, rowsOf, type Row } from '../data/read-rows.js';
import { promptTokens, tokeniseRows, type Example } from '../data/tokenise.js';
import { TrainingInterruptedError } from '../errors/errors.js';
import { combineLoggers, type RunLogger } from '../metrics/logger.js';
import { createMetricsLogger } from '../metrics/metrics-file.js';
import type { AdapterInfo, TrainingSummary } from '../metrics/run-records.js';
import { createReportLogger } from '../report/report-logger.js';
import { prepareRunFolder } from '../store/run-folder.js';
import { restoreRun, saveRun, type RunState } from './checkpoints.js';
import { exportRun } from './export-run.js';
import { destroyModel, loadModel, openModel, planModel, type ModelPlan, type OpenModel } from './setup-model.js';
import { planTraining, type TrainPlan } from './train-plan.js';
import { Trainer } from './trainer.js';

/** The data of a run as tokens. */
export interface RunData {
  readonly train: readonly Example[];
  readonly held: readonly Example[];
  readonly notices: readonly string[];
}

/** Reads and tokenises the data of a config. @throws DatasetError, EmptyDatasetError */
export async function openData(run: ResolvedTrainConfig, { tokenizer }: OpenModel): Promise<RunData> {
  const notices: string[] = [];
  const read = async ({ source, format }: DataOptions): Promise<{ rows: Row[]; file: string }> => {
    if (Array.isArray(source)) return { rows: rowsOf(source, format), file: 'data' };
    const { text, name } = await openRunData(source);
    return { rows: readJsonl(text, name, format), file: name };
  };
  const tokenise = (
    { rows, file }: { rows: readonly Row[]; file: string },
    { lossOn, tooLong }: DataOptions,
  ): Example[] => {
    const { examples, skipped, truncated } = tokeniseRows(rows, tokenizer, {
      maxLength: run.maxLength,
      lossOn,
      tooLong,
      file,
    });
    if (skipped > 0) notices.push(`${file}: ${skipped} rows of more than ${run.maxLength} tokens were left out.`);
    if (truncated > 0) notices.push(`${file}: ${truncated} rows were cut to ${run.maxLength} tokens.`);
    return examples;
  };
  const all = await read(run.data);
  if (run.evalData)
    return { train: tokenise(all, run.data), held: tokenise(await read(run.evalData), run.evalData), notices };
  const { train, held } = splitRows(all.rows, run.evalFraction, run.seed);
  return {
    train: tokenise({ ...all, rows: train }, run.data),
    held: held.length > 0 ? tokenise({ ...all, rows: held }, run.data) : [],
    notices,
  };
}

/** What a run needs, planned without touching a device beyond its profile. */
export function planRunMemory(
  profile: Gpu['profile'],
  model: ModelPlan,
  data: RunData,
  run: ResolvedTrainConfig,
): TrainPlan {
  return planTraining(profile, model, {
    train: batchShapes(data.train, run.batchSize, run.maxLength),
    held: data.held.length > 0 ? batchShapes(data.held, run.batchSize, run.maxLength) : [],
    accumulate: run.gradientAccumulation > 1,
  });
}

/** Answers of held-out rows by the model as it is now; a signal ends them early. Its memory is given back at the end. */
async function takeSamples(
  gpu: Gpu,
  open: OpenModel,
  model: ModelPlan,
  data: RunData,
  run: ResolvedTrainConfig,
  step: number,
  { logger, signal }: Pick<Context, 'logger' | 'signal'>,
): Promise<void> {
  const rows = (data.held.length > 0 ? data.held : data.train).slice(0, run.sampleCount);
  if (rows.length === 0 || run.sampleTokens === 0) return;
  const { tokenizer, config } = open;
  const generator = samplerOf(gpu, open, model, run);
  const turnEnd = tokenizer.tokenId('<end_of_turn>');
  const stopTokens = [
    ...textConfigOf(config).eosTokenIds,
    tokenizer.eosId,
    ...(turnEnd === undefined ? [] : [turnEnd]),
  ];
  try {
    for (const { row } of rows) {
      if (signal?.aborted) return;
      const prompt = promptTokens(row, tokenizer).slice(0, run.maxLength);
      const text = createTextStream(tokenizer);
      let answer = '';
      for await (const token of generator.generate(
        { tokens: prompt },
        { maxNewTokens: run.sampleTokens, stopTokens },
      )) {
        if (signal?.aborted) return;
        answer += text.push(token);
      }
      answer += text.flush();
      const expected =
        'prompt' in row ? row.completion : 'messages' in row ? (row.messages.at(-1)?.content ?? null) : null;
      await logger.onSample?.({ step, id: `line ${row.line}`, prompt: tokenizer.decode(prompt), answer, expected });
    }
  } finally {
    await generator.destroy();
  }
}

function samplerOf(gpu: Gpu, { config }: OpenModel, model: ModelPlan, run: ResolvedTrainConfig): Generator {
  const { loraScale } = model.step.options;
  return new Generator(gpu, model.step.params, config, {
    maxLength: run.maxLength + run.sampleTokens,
    ...(loraScale !== undefined && { loraScale }),
  });
}

/** The micro-batches of optimiser step `step` (from 0): a pure function of the step, so that a resumed run sees the same rows. */
function batchesOfStep(
  step: number,
  stepsPerEpoch: number,
  train: readonly Example[],
  run: ResolvedTrainConfig,
  shapes: ReturnType<typeof batchShapes>,
): Batch[] {
  const epoch = Math.floor(step / stepsPerEpoch);
  const first = (step % stepsPerEpoch) * run.batchSize * run.gradientAccumulation;
  const order = epochOrder(train.length, run.seed, epoch);
  const batches: Batch[] = [];
  for (let i = 0; i < run.gradientAccumulation; i++) {
    const chosen = [...order.subarray(first + i * run.batchSize, first + (i + 1) * run.batchSize)].map(
      (n) => train[n]!,
    );
    if (chosen.length > 0) batches.push(makeBatch(chosen, shapes));
  }
  return batches;
}

function inBatches(examples: readonly Example[], run: ResolvedTrainConfig): Batch[] {
  if (examples.length === 0) return [];
  const shapes = batchShapes(examples, run.batchSize, run.maxLength);
  // Similar lengths together: less padding.
  const sorted = [...examples].sort((a, b) => a.tokens.length - b.tokens.length);
  return Array.from({ length: Math.ceil(sorted.length / run.batchSize) }, (_, i) =>
    makeBatch(sorted.slice(i * run.batchSize, (i + 1) * run.batchSize), shapes),
  );
}

function adapterOf({ profile }: Gpu): AdapterInfo {
  const { vendor, architecture, backend, device, description } = profile.adapter;
  return { vendor, architecture, backend, device, description };
}

/**
 * Trains from a config to the files in its output folder. See `RunTraining`.
 * @throws what the config, data, weights, device and disk throw; TrainingInterruptedError; NonFiniteLossError.
 */
export const runTraining: RunTraining = async (run, options = {}) => {
  const began = performance.now();
  const startedAt = new Date().toISOString();
  const store = options.store ?? (await openRunStore(run.outDir));
  const { resumes, notices } = await prepareRunFolder(store, {
    config: echoConfig(run),
    resume: run.resume,
    overwrite: run.overwrite,
  });
  const logger = combineLoggers(
    await createReportLogger(store),
    createMetricsLogger(store),
    ...(options.logger ? [options.logger] : []),
  );
  for (const notice of notices) await logger.onNotice(notice);
  let gpu: Gpu | undefined;
  try {
    gpu = (options.gpu as Gpu | undefined) ?? (await openGpu());
    const summary = await train(gpu, run, {
      store,
      resumes,
      logger,
      began,
      startedAt,
      ...(options.signal && { signal: options.signal }),
    });
    await logger.onEnd(summary);
    return summary;
  } catch (error) {
    const reason =
      options.signal?.aborted && (error as Error | null)?.name === 'AbortError'
        ? new TrainingInterruptedError({ step: 0, checkpoint: null }, { cause: error })
        : error;
    await logger.onFail(reason);
    throw reason;
  } finally {
    if (options.gpu === undefined) gpu?.destroy();
  }
};

interface Context extends Required<Pick<TrainingOptions, 'store'>> {
  readonly resumes: boolean;
  readonly logger: Required<RunLogger>;
  readonly signal?: AbortSignal;
  readonly began: number;
  readonly startedAt: string;
}

async function train(gpu: Gpu, run: ResolvedTrainConfig, context: Context): Promise<TrainingSummary> {
  const { store, resumes, logger, signal, began, startedAt } = context;
  await logger.onPhase({ name: 'Opening model and data' });
  const open = await openModel(run.weightLoader);
  try {
    const data = await openData(run, open);
    for (const notice of data.notices) await logger.onNotice(notice);
    const model = planModel(open, run);
    const plan = planRunMemory(gpu.profile, model, data, run);
    checkFit(gpu, plan);
    const steps = planRun(run, data.train.length);
    const sampler = samplerOf(gpu, open, model, run);
    const samplePrompts = (data.held.length > 0 ? data.held : data.train)
      .slice(0, run.sampleCount)
      .map(({ row }) => ({ tokens: Math.min(promptTokens(row, open.tokenizer).length, run.maxLength), patches: 0 }));
    const samplerBytes = run.sampleTokens > 0 && samplePrompts.length > 0 ? sampler.plannedBytes(samplePrompts) : 0;
    await sampler.destroy();
    const during = run.sampleEvery === null ? 0 : samplerBytes;
    const peakBytesPlanned = Math.max(plan.totalBytes + during, plan.modelBytes + samplerBytes);
    const before = gpu.counters.bytes;
    gpu.counters.peakBytes = before;

    let trainer: Trainer | undefined;
    try {
      const report = await loadModel(
        gpu,
        open,
        model,
        run.seed,
        (done, total) => void logger.onPhase({ name: 'Loading weights', done, total }),
        signal,
      );
      let state: RunState | null = resumes
        ? await restoreRun(store, model.step.trained, (message) => logger.onNotice(message))
        : null;
      const parameters = [...model.variables.values()].reduce((n, v) => n + v.tensor.size, 0);
      await logger.onStart({
        config: echoConfig(run),
        totalSteps: steps.totalSteps,
        startStep: state?.step ?? 0,
        trainRows: data.train.length,
        evalRows: data.held.length,
        adapter: adapterOf(gpu),
        memory: plan.memory,
        startedAt,
        load: {
          source: String(run.weightLoader.description ?? ''),
          format: open.weights.format,
          parameters,
          trainableParameters: model.step.trained.reduce((n, t) => n + t.param.tensor.size, 0),
          loaded: report.loaded.length,
          converted: report.converted.length,
          initialised: [...model.lora.keys()],
          unused: report.unused,
        },
      });
      if (state === null) await takeSamples(gpu, open, model, data, run, 0, context);

      signal?.throwIfAborted();
      await logger.onPhase({ name: 'Compiling' });
      trainer = await Trainer.create(gpu, plan, run);
      const held = inBatches(data.held, run);
      const evaluate = async (step: number): Promise<number | null> => {
        if (held.length === 0) return null;
        const from = performance.now();
        const loss = await trainer!.evaluate(held, step < steps.totalSteps ? signal : undefined);
        if (loss === null) return null;
        await logger.onEval({ step, loss, rows: data.held.length, seconds: (performance.now() - from) / 1000 });
        return loss;
      };
      signal?.throwIfAborted();
      state ??= { step: 0, tokens: 0, baseEvalLoss: await evaluate(0) };
      signal?.throwIfAborted();
      const shapes = batchShapes(data.train, run.batchSize, run.maxLength);
      let secondsToFirstStep: number | null = null;
      let finalLoss: number | null = null;
      let finalEvalLoss: number | null = null;
      let saved = state.step;
      for (let done = state.step; done < steps.totalSteps; ) {
        const from = performance.now();
        const batches = batchesOfStep(done, steps.stepsPerEpoch, data.train, run, shapes);
        const learningRate = steps.schedule(done);
        const { loss, gradNorm } = await trainer.step(done + 1, batches, learningRate);
        const stepMs = performance.now() - from;
        done++;
        secondsToFirstStep ??= (performance.now() - began) / 1000;
        const tokens = batches.reduce((n, b) => n + b.numTokens, 0);
        state = { ...state, step: done, tokens: state.tokens + tokens };
        finalLoss = loss;
        const last = done === steps.totalSteps;
        const evalLoss = last || done % steps.evalEvery === 0 ? await evaluate(done) : null;
        if (evalLoss !== null) finalEvalLoss = evalLoss;
        if (run.sampleEvery !== null && done % run.sampleEvery === 0 && !last)
          await takeSamples(gpu, open, model, data, run, done, context);
        await logger.onStep({
          step: done,
          epoch: done / steps.stepsPerEpoch,
          loss,
          evalLoss,
          learningRate,
          gradNorm,
          tokensPerSecond: tokens / (stepMs / 1000),
          stepMs,
          peakBytes: gpu.counters.peakBytes - before,
        });
        if (last || done % steps.saveEvery === 0 || signal?.aborted) {
          const name = await saveRun(store, model.step.trained, state, run);
          saved = done;
          await logger.onCheckpoint({ step: done, name });
        }
        if (signal?.aborted && !last)
          throw new TrainingInterruptedError({ step: done, checkpoint: `checkpoint ${saved}` });
      }
      trainer.destroy();
      trainer = undefined;
      await takeSamples(gpu, open, model, data, run, steps.totalSteps, context);
      const exported = await exportRun(store, open, model, run);
      return {
        name: run.name,
        steps: state.step,
        baseEvalLoss: state.baseEvalLoss,
        finalEvalLoss,
        finalLoss,
        peakBytesPlanned,
        peakBytesAllocated: gpu.counters.peakBytes - before,
        adapter: adapterOf(gpu),
        secondsToFirstStep,
        seconds: (performance.now() - began) / 1000,
        tokens: state.tokens,
        startedAt,
        exported,
        outDir: run.outDir,
      };
    } finally {
      trainer?.destroy();
      destroyModel(model);
    }
  } finally {
    await open.weights.close();
  }
}

/** @throws GpuOutOfMemoryError naming what would not fit, before anything is allocated. */
function checkFit(gpu: Gpu, plan: TrainPlan): void {
  const { maxBufferSize } = gpu.profile.limits;
  if (plan.largestBuffer <= maxBufferSize) return;
  throw new GpuOutOfMemoryError({
    requestedBytes: plan.largestBuffer,
    allocatedBytes: 0,
    message: `the run needs a buffer of ${plan.largestBuffer} bytes, but this device's largest is ${maxBufferSize} bytes`,
  });
}
