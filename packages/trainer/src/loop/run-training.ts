import { createTextStream, Generator, patchCount, textConfigOf, visionConfigOf } from '@lapidary/gemma';
import { openGpu, type Gpu } from '@lapidary/gpu';
import type { Variable } from '@lapidary/tensor';
import { checkKernels } from '@lapidary/kernels';
import { openRunData, openRunImage, openRunStore } from '#run-files';
import { echoConfig } from '../config/config-echo.js';
import { planRun } from '../config/plan-run.js';
import type { RunTraining, TrainingOptions } from '../config/run-types.js';
import type { DataOptions, ResolvedTrainConfig } from '../config/train-config.js';
import { batchShapes, makeBatch, type Batch } from '../data/batch.js';
import { epochOrder, splitRows } from '../data/order.js';
import { countPictures, Pictures, publishedImagePreset } from '../data/pictures.js';
import { readJsonl, rowsOf, type Row } from '../data/read-rows.js';
import { promptTokens, tokeniseRows, type Example } from '../data/tokenise.js';
import { NonFiniteLossError, TrainingInterruptedError } from '../errors/errors.js';
import { formatBytes } from '../metrics/format.js';
import { combineLoggers, type RunLogger } from '../metrics/logger.js';
import { createMetricsLogger, readMetrics } from '../metrics/metrics-file.js';
import type { AdapterInfo, TrainingSummary } from '../metrics/run-records.js';
import { createReportLogger } from '../report/report-logger.js';
import { readCheckpointState } from '../store/load-checkpoint.js';
import { prepareRunFolder, recordRows } from '../store/run-folder.js';
import { checkContext } from './check-context.js';
import { checkFit } from './check-fit.js';
import { restoreRun, saveRun, type RunState } from './checkpoints.js';
import { exportRun } from './export-run.js';
import { findNonFinite } from './find-non-finite.js';
import { destroyModel, loadModel, openModel, planModel, type ModelPlan, type OpenModel } from './setup-model.js';
import { type BudgetedPlan, describeRecomputed, planWithinBudget } from './plan-within-budget.js';
import { Trainer } from './trainer.js';
import { planTuned } from './tuned-plan.js';
import { untilAborted } from './until-aborted.js';

/** The data of a run as tokens. */
export interface RunData {
  readonly train: readonly Example[];
  readonly held: readonly Example[];
  /** Patches of a row's pictures; 0 where there are none. */
  readonly patches: number;
  /** The pictures of either part's rows. */
  readonly pictures: { readonly train: Pictures; readonly held: Pictures } | undefined;
  readonly notices: readonly string[];
}

const styleOf = ({ config }: OpenModel) => (config.family === 'paligemma' ? 'paligemma' : 'gemma');

/** Reads and tokenises the data of a config. @throws DatasetError, EmptyDatasetError */
export async function openData(run: ResolvedTrainConfig, open: OpenModel): Promise<RunData> {
  const { tokenizer, config } = open;
  const vision = visionConfigOf(config);
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
      style: styleOf(open),
      vocabSize: textConfigOf(config).vocabSize,
    });
    if (skipped > 0) notices.push(`${file}: ${skipped} rows of more than ${run.maxLength} tokens were left out.`);
    if (truncated > 0) notices.push(`${file}: ${truncated} rows were cut to ${run.maxLength} tokens.`);
    return examples;
  };
  const all = await read(run.data);
  const apart = run.evalData && (await read(run.evalData));
  const split = splitRows(all.rows, apart ? 0 : run.evalFraction, run.seed);
  const held = apart ?? { ...all, rows: split.held };
  const train = { ...all, rows: split.train };
  const count = countPictures([...train.rows, ...held.rows], all.file, vision);
  const picturesOf = (file: string) =>
    new Pictures({
      vision: vision!,
      preset: run.imagePreset ?? publishedImagePreset(open.weights.format),
      file,
      read: (path) => openRunImage(path, file),
    });
  return {
    train: tokenise(train, run.data),
    held: held.rows.length > 0 ? tokenise(held, run.evalData ?? run.data) : [],
    patches: vision ? count * patchCount(vision) : 0,
    pictures: vision && count > 0 ? { train: picturesOf(train.file), held: picturesOf(held.file) } : undefined,
    notices,
  };
}

/**
 * What a run needs, planned without touching a device beyond its profile.
 * @throws ConfigError: rows beyond the model's context; RunTooLargeError: beyond `memoryBudget`
 */
export function planRunMemory(
  profile: Gpu['profile'],
  model: ModelPlan,
  data: RunData,
  run: ResolvedTrainConfig,
): BudgetedPlan {
  checkContext(run, model.step.config, data.patches);
  const shapes = {
    train: batchShapes(data.train, run.batchSize, run.maxLength, data.patches),
    held: data.held.length > 0 ? batchShapes(data.held, run.batchSize, run.maxLength, data.patches) : [],
    accumulate: run.gradientAccumulation > 1,
  };
  return planWithinBudget(profile, model, shapes, run);
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
  await logger.onPhase?.({ name: 'Answering held-out rows' });
  const { tokenizer, config } = open;
  const generator = samplerOf(gpu, open, model, data, run);
  const turnEnd = tokenizer.tokenId('<end_of_turn>');
  const stopTokens = [
    ...textConfigOf(config).eosTokenIds,
    tokenizer.eosId,
    ...(turnEnd === undefined ? [] : [turnEnd]),
  ];
  try {
    for (const { row } of rows) {
      if (signal?.aborted) return;
      const prompt = promptTokens(row, tokenizer, styleOf(open)).slice(0, run.maxLength);
      const pictures = data.held.length > 0 ? data.pictures?.held : data.pictures?.train;
      const patches = await pictures?.patchesOf(row);
      const text = createTextStream(tokenizer);
      let answer = '';
      for await (const token of generator.generate(
        { tokens: prompt, ...(patches && { patches }) },
        { maxNewTokens: run.sampleTokens, stopTokens },
      )) {
        if (signal?.aborted) return;
        answer += text.push(token);
      }
      answer += text.flush();
      const expected =
        'prompt' in row ? row.completion : 'messages' in row ? (row.messages.at(-1)?.content ?? null) : null;
      const shown = (await pictures?.dataUrlsOf(row)) ?? [];
      await logger.onSample?.({
        step,
        id: `line ${row.line}`,
        prompt: tokenizer.decode(prompt),
        answer,
        expected,
        ...(shown.length > 0 && { pictures: shown }),
      });
    }
  } finally {
    await generator.destroy();
  }
}

function samplerOf(
  gpu: Gpu,
  { config }: OpenModel,
  model: ModelPlan,
  { patches }: RunData,
  run: ResolvedTrainConfig,
): Generator {
  const { loraScale } = model.step.options;
  return new Generator(gpu, model.step.params, config, {
    maxLength: patches + run.maxLength + run.sampleTokens,
    ...(loraScale !== undefined && { loraScale }),
  });
}

/** The micro-batches of optimiser step `step` (from 0): a pure function of the step, so that a resumed run sees the same rows. */
export async function batchesOfStep(
  step: number,
  stepsPerEpoch: number,
  { train, pictures }: RunData,
  run: ResolvedTrainConfig,
  shapes: ReturnType<typeof batchShapes>,
): Promise<Batch[]> {
  const epoch = Math.floor(step / stepsPerEpoch);
  const first = (step % stepsPerEpoch) * run.batchSize * run.gradientAccumulation;
  const order = epochOrder(train.length, run.seed, epoch);
  const batches: Batch[] = [];
  for (let i = 0; i < run.gradientAccumulation; i++) {
    const chosen = [...order.subarray(first + i * run.batchSize, first + (i + 1) * run.batchSize)].map(
      (n) => train[n]!,
    );
    if (chosen.length > 0) batches.push(await batchOf(chosen, shapes, pictures?.train));
  }
  return batches;
}

async function batchOf(
  examples: readonly Example[],
  shapes: ReturnType<typeof batchShapes>,
  pictures: Pictures | undefined,
): Promise<Batch> {
  return makeBatch(
    examples,
    shapes,
    pictures && (await Promise.all(examples.map(({ row }) => pictures.patchesOf(row)))),
  );
}

/** The held-out rows, a batch at a time. */
async function* heldBatches({ held, pictures, patches }: RunData, run: ResolvedTrainConfig): AsyncGenerator<Batch> {
  const shapes = batchShapes(held, run.batchSize, run.maxLength, patches);
  // Similar lengths together: less padding.
  const sorted = [...held].sort((a, b) => a.tokens.length - b.tokens.length);
  for (let at = 0; at < sorted.length; at += run.batchSize)
    yield batchOf(sorted.slice(at, at + run.batchSize), shapes, pictures?.held);
}

export function adapterOf({ profile }: Gpu): AdapterInfo {
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
  // Before anything is planned: a variant that fails on this device is not used, and named.
  const { disabled } = await checkKernels(gpu, { notice: () => undefined });
  for (const { message } of disabled) await logger.onNotice(message);
  await logger.onPhase({ name: 'Opening model and data' });
  const open = await openModel(run.weightLoader);
  try {
    const data = await openData(run, open);
    for (const notice of data.notices) await logger.onNotice(notice);
    const model = planModel(open, run);
    const planWith = (profile: Gpu['profile']) => {
      const made = planRunMemory(profile, model, data, run);
      // What does not fit is refused before kernels are measured.
      checkFit(profile, made, run);
      return made;
    };
    const begun = resumes ? await readCheckpointState(store) : null;
    const { plan, used } = await planTuned(gpu, planWith, {
      mode: run.kernelTuning,
      precision: run.matmulPrecision,
      before: (begun?.state as unknown as RunState | undefined)?.kernels,
      logger,
      ...(signal && { signal }),
    });
    const tight = checkFit(gpu.profile, plan, run);
    if (tight !== null) await logger.onNotice(tight);
    const recomputed = describeRecomputed(plan, run.memoryBudget);
    if (recomputed !== null) await logger.onNotice(recomputed);
    await recordRows(store, data.train);
    const steps = planRun(run, data.train.length);
    const sampler = samplerOf(gpu, open, model, data, run);
    const samplePrompts = (data.held.length > 0 ? data.held : data.train).slice(0, run.sampleCount).map(({ row }) => ({
      tokens: Math.min(promptTokens(row, open.tokenizer, styleOf(open)).length, run.maxLength),
      patches: data.patches,
    }));
    const takesSamples = run.sampleTokens > 0 && samplePrompts.length > 0;
    const samplerBytes = takesSamples ? sampler.plannedBytes(samplePrompts) : 0;
    const during = run.sampleEvery === null ? 0 : samplerBytes;
    const peakBytesPlanned = Math.max(plan.totalBytes + during, plan.modelBytes + samplerBytes);
    const before = gpu.counters.bytes;
    gpu.counters.peakBytes = before;

    let trainer: Trainer | undefined;
    try {
      const compilingSampler = takesSamples ? sampler.prepare(samplePrompts) : Promise.resolve();
      const compiling = Promise.all([compilingSampler, Trainer.prepare(gpu, plan)]);
      const report = await loadModel(gpu, open, model, run, {
        onProgress: (done, total) => void logger.onPhase({ name: 'Loading weights', done, total }),
        // What is awaited later (samples, then the first step) is then made, or on its way.
        compiling,
        ...(signal && { signal }),
      });
      if (report.initialised.length > 0) {
        const { initialised, freshBytes } = report;
        const names = `${initialised.slice(0, 5).join(', ')}${initialised.length > 5 ? ', …' : ''}`;
        await logger.onNotice(
          `${initialised.length} parameters (${formatBytes(freshBytes)}) are not in the weights and begin anew: ${names}.`,
        );
      }
      let state: RunState | null = resumes
        ? await restoreRun(store, model.step.trained, report.fingerprint, (message) => logger.onNotice(message))
        : null;
      // Those of this device, where it is another than before.
      if (state !== null) state = { ...state, kernels: used };
      const parameters = [...model.variables.values()].reduce((n, v) => n + v.tensor.size, 0);
      await logger.onStart({
        config: echoConfig(run),
        totalSteps: steps.totalSteps,
        startStep: state?.step ?? 0,
        baseEvalLoss: state?.baseEvalLoss ?? null,
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
          initialised: [...model.lora.keys(), ...report.initialised],
          unused: report.unused,
        },
      });
      if (state === null) {
        await untilAborted(compilingSampler, signal);
        await takeSamples(gpu, open, model, data, run, 0, context);
      }

      signal?.throwIfAborted();
      await logger.onPhase({ name: 'Compiling' });
      await untilAborted(compiling, signal);
      trainer = await Trainer.create(gpu, plan, run);
      const evaluate = async (step: number): Promise<number | null> => {
        if (data.held.length === 0) return null;
        const from = performance.now();
        const loss = await trainer!.evaluate(heldBatches(data, run), step < steps.totalSteps ? signal : undefined);
        if (loss === null) return null;
        await logger.onEval({ step, loss, rows: data.held.length, seconds: (performance.now() - from) / 1000 });
        return loss;
      };
      signal?.throwIfAborted();
      state ??= { step: 0, tokens: 0, baseEvalLoss: await evaluate(0), weights: report.fingerprint, kernels: used };
      if (state.step === 0 && !Number.isFinite(state.baseEvalLoss ?? 0)) {
        const firstAt = await findNonFinite(suspects(model, 0));
        throw new NonFiniteLossError({ step: 0, loss: state.baseEvalLoss!, firstAt });
      }
      signal?.throwIfAborted();
      const shapes = batchShapes(data.train, run.batchSize, run.maxLength, data.patches);
      let secondsToFirstStep: number | null = null;
      let finalLoss: number | null = null;
      let finalEvalLoss: number | null = null;
      let saved = state.step;
      if (state.step >= steps.totalSteps) {
        await logger.onNotice(`All ${steps.totalSteps} steps are done already; only the export is written again.`);
        const last = (await readMetrics(store)).find(({ step }) => step === state!.step);
        finalLoss = last?.loss ?? null;
        finalEvalLoss = last?.evalLoss ?? (await evaluate(state.step));
      }
      for (let done = state.step; done < steps.totalSteps; ) {
        const from = performance.now();
        const batches = await batchesOfStep(done, steps.stepsPerEpoch, data, run, shapes).catch(
          async (error: unknown) => {
            // A picture that cannot be read may only be met now: what was learned before it is kept.
            if (done > saved) await saveRun(store, model.step.trained, state!, run);
            throw error;
          },
        );
        const learningRate = steps.schedule(done);
        const { loss, gradNorm } = await trainer.step(done + 1, batches, learningRate).catch(async (error: unknown) => {
          if (!(error instanceof NonFiniteLossError)) throw error;
          const firstAt = await findNonFinite(suspects(model, done + 1));
          throw new NonFiniteLossError({ ...error, firstAt, checkpoint: saved > 0 ? saved : null });
        });
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

/** What may hold the first value that is not finite: what is trained, and at the start all of the model. */
function suspects({ variables, step: { trained } }: ModelPlan, step: number): (readonly [string, Variable])[] {
  const learned = trained.map(({ path, param }) => [path, param] as const);
  return step > 1 ? learned : [...learned, ...variables];
}
