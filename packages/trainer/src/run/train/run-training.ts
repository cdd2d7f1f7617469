import { openGpu, type Gpu } from '@lapidary/gpu';
import type { BaseWeights, LoadReport } from '@lapidary/weights';
import { isSamePlace, openRunStore } from '#run-files';
import { echoConfig } from '../../config/config-echo.js';
import type { RunTraining, TrainingOptions } from '../../config/run-types.js';
import { describeValue } from '../../config/find-problems.js';
import type { ResolvedTrainConfig } from '../../config/train-config.js';
import { BaseMismatchError, ConfigError, ResumeMismatchError, TrainingInterruptedError } from '../../errors/errors.js';
import { formatBytes } from '../../format/format.js';
import { combineLoggers, type RunLogger } from '../../metrics/logger.js';
import { createMetricsLogger } from '../../metrics/metrics-file.js';
import { createTensorBoardLogger } from '../../metrics/tensorboard/tensorboard-logger.js';
import type { RunStart, TrainingSummary } from '../../metrics/run-records.js';
import { createReportLogger } from '../../report/report-logger.js';
import { documentsOf } from '../../objectives/objective.js';
import { objectiveOf } from '../../objectives/registry.js';
import type { FileStore } from '../../store/file-store.js';
import { prepareRunFolder } from '../../store/run-folder.js';
import { listCheckpoints, removeCheckpoint } from '../../store/save-checkpoint.js';
import { readRunState, restoreRun, type RunState } from '../checkpoints/run-checkpoints.js';
import { ExportError, exportRun } from '../export/export-run.js';
import { countParameters, destroyModel } from '../prepare/plan-model.js';
import { patchesOf } from '../prepare/fit-settings.js';
import { prepareRun } from '../prepare/prepare-run.js';
import { untilAborted } from '../until-aborted.js';
import { loadModel } from './load-model.js';
import { compareBaseWeights } from '../base-weights.js';
import { compareIdentity, identityOf, type Identity } from '../identity.js';
import { adapterOf, nameOfModel, takeSamples, type Session } from './session.js';
import { Trainer } from './trainer.js';
import { TrainingLoop, type FreshState, type LoopResult } from './training-loop.js';

/**
 * Trains from a config to the files in its output folder. See `RunTraining`.
 * @throws what the config, data, weights, device and disk throw; TrainingInterruptedError; NonFiniteLossError.
 */
export const runTraining: RunTraining = async (config, options = {}) => {
  const began = performance.now();
  const startedAt = new Date().toISOString();
  if (options.signal?.aborted) throw new TrainingInterruptedError({ step: 0, checkpoint: null });
  if (options.store === undefined) refuseOwnAdapter(config);
  const store = options.store ?? (await openRunStore(config.outDir));
  const unlock = await store.lock?.();
  try {
    return await runInFolder(config, options, store, { began, startedAt });
  } finally {
    await unlock?.();
  }
};

/** @throws ConfigError where the run would write its adapter over the one that it goes on from, and could never be resumed */
function refuseOwnAdapter({ adapter, outDir }: ResolvedTrainConfig): void {
  const place = typeof adapter === 'string' ? adapter : adapter?.description;
  if (typeof place !== 'string' || !isSamePlace(place, outDir)) return;
  const allowed =
    'another folder than the one the run goes into (`outDir`): it would write its own adapter over this one';
  throw new ConfigError({ problems: [{ path: 'adapter', found: describeValue(place), allowed }] });
}

async function runInFolder(
  config: ResolvedTrainConfig,
  options: TrainingOptions,
  store: FileStore,
  times: Pick<Session, 'began' | 'startedAt'>,
): Promise<TrainingSummary> {
  const { signal } = options;
  const folder = await prepareRunFolder(store, {
    config: echoConfig(config),
    resume: config.resume,
    resumeFrom: config.resumeFrom,
    overwrite: config.overwrite,
    baseModel: config.weightLoader.baseModel,
  });
  const { resumes } = folder;
  const logger = combineLoggers(
    await createReportLogger(store, { resumes }),
    createMetricsLogger(store),
    ...(config.tensorboard ? [createTensorBoardLogger(store)] : []),
    ...(options.logger ? [options.logger] : []),
  );
  for (const notice of folder.notices) await logger.onNotice(notice);
  let gpu: Gpu | undefined;
  let begun: RunState | null = null;
  try {
    gpu = options.gpu ?? (await openGpu());
    begun = resumes ? await readRunState(store, config.resumeFrom ?? undefined) : null;
    const about = { store, folder, logger, ...times, ...(signal && { signal }) };
    const summary = await train(gpu, config, about, begun);
    await logger.onEnd(summary);
    return summary;
  } catch (error) {
    // What a signal carries, an AbortError if its owner says nothing else.
    const isAbort =
      signal?.aborted && (error === signal.reason || (error instanceof Error && error.name === 'AbortError'));
    const at = { step: begun?.step ?? 0, checkpoint: begun && `checkpoint ${begun.step}` };
    const reason = isAbort ? new TrainingInterruptedError(at, { cause: error }) : error;
    await logger.onFail(reason);
    throw reason;
  } finally {
    if (options.gpu === undefined) gpu?.destroy();
  }
}

async function train(
  gpu: Gpu,
  config: ResolvedTrainConfig,
  about: Omit<Session, 'gpu' | 'prepared' | 'foreignBytes'>,
  begun: RunState | null,
): Promise<TrainingSummary> {
  const { store, logger, signal } = about;
  const prepared = await prepareRun(config, gpu, {
    logger,
    before: begun?.kernels,
    seenBefore: begun?.pictures && { location: store.location, pictures: begun.pictures },
    ...(signal && { signal }),
  });
  try {
    const identity = identityOf(prepared);
    if (begun !== null)
      for (const notice of compareIdentity(begun.identity, identity, store.location)) await logger.onNotice(notice);
    if (begun !== null && begun.pictures === undefined && patchesOf(prepared.data) > 0) {
      // Pictures are named by where they lie from the rows: elsewhere there may be others.
      if (about.folder.moved.length > 0)
        throw new ResumeMismatchError({ location: store.location, changes: about.folder.moved });
      await logger.onNotice(
        'This run was begun by an earlier version, which kept nothing of its pictures: whether they are the same is not known.',
      );
    }
    const foreignBytes = gpu.counters.bytes;
    gpu.counters.peakBytes = foreignBytes;
    try {
      return await trainPrepared({ ...about, gpu, prepared, foreignBytes }, identity, begun);
    } finally {
      destroyModel(prepared.model);
    }
  } finally {
    await prepared.close();
  }
}

async function trainPrepared(
  session: Session,
  about: Omit<Identity, 'weights'>,
  begun: RunState | null,
): Promise<TrainingSummary> {
  const { gpu, prepared, store, folder, logger, signal } = session;
  const { config, open, model, plan } = prepared;
  const compilingSamples = plan.samples?.prepare(gpu) ?? Promise.resolve();
  const compiling = Promise.all([compilingSamples, Trainer.prepare(gpu, plan)]);
  const report = await loadModel(gpu, open.weights, model, config, {
    start: prepared.start,
    onProgress: (done, total) => logger.onPhase({ name: 'Loading weights', done, total }),
    // What is awaited later (samples, then the first step) is then made, or on its way.
    compiling,
    ...(signal && { signal }),
  });
  await tellFresh(report, logger);
  await tellOtherBase(session, report.base);
  // Those of this device, where it is another than before.
  const { format, tensors } = report.base;
  const identity: Identity = {
    ...about,
    weights: report.fingerprint,
    ...(config.lora && { base: { format, tensors: Object.fromEntries(tensors) } }),
  };
  if (begun?.identity) compareIdentity(begun.identity, { weights: identity.weights }, store.location);
  const restore = { atMost: config.resumeFrom ?? undefined, onNotice: logger.onNotice };
  const found = folder.resumes ? await restoreRun(gpu, store, model.step.trained, restore) : null;
  if (found !== null) await dropLater(session, found.step);
  // After what it goes back behind is gone: until then that is of another rate.
  await folder.begin(documentsOf(prepared.data.train));
  const restored = found && { ...found, best: await bestThere(session, found), identity, kernels: prepared.used };
  await logger.onStart(startOf(session, report, restored));
  if (restored === null) {
    await untilAborted(compilingSamples, signal);
    await takeSamples(session, 0);
  }
  signal?.throwIfAborted();
  await logger.onPhase({ name: 'Compiling' });
  await untilAborted(compiling, signal);
  const fresh = { step: 0, tokens: 0, identity, kernels: prepared.used };
  const result = await takeSteps(session, restored, fresh);
  await takeSamples(session, result.state.step);
  const step = await chooseResult(session, result.state);
  const exported = await exportRun(store, open, model, {
    run: config,
    onNotice: logger.onNotice,
    baseWeights: report.base,
  });
  return summaryOf(session, result, { exported, exportedStep: step });
}

/** An adapter that is gone on from may have been trained over other weights: that may be what is wanted. */
async function tellOtherBase({ prepared: { start }, logger }: Session, base: BaseWeights): Promise<void> {
  if (start?.baseWeights === undefined) return;
  try {
    const notice = compareBaseWeights(start.baseWeights, base, 'that is gone on from');
    if (notice !== null) await logger.onNotice(notice);
  } catch (error) {
    if (!(error instanceof BaseMismatchError)) throw error;
    await logger.onNotice(error.message);
  }
}

/** The best step so far, as long as there is a checkpoint of it: a run that went back may have lost it. */
async function bestThere({ store, logger }: Session, { best }: RunState): Promise<RunState['best']> {
  if (best === null || (await listCheckpoints(store)).includes(best.step)) return best;
  await logger.onNotice(
    `There is no checkpoint any more of step ${best.step}, which had the lowest evaluation loss: the best from here on is kept.`,
  );
  return null;
}

/** Puts the best step back on the device where that is what the run ends with. The step that is on it then. @throws ExportError */
async function chooseResult({ gpu, prepared, store, logger }: Session, { step, best }: RunState): Promise<number> {
  const { config, model } = prepared;
  if (config.keepBest !== 'export' || best === null || best.step === step) return step;
  const restore = { atMost: best.step, onNotice: logger.onNotice };
  const found = await restoreRun(gpu, store, model.step.trained, restore);
  if (found?.step !== best.step)
    throw new ExportError(
      `The checkpoint of step ${best.step}, which had the lowest evaluation loss, is damaged: resume with \`keepBest\` 'checkpoint' to export the last step.`,
    );
  return best.step;
}

/** A run that went back by `resumeFrom` leaves what came after: going on from that another time would be another run. */
async function dropLater({ store, logger, prepared }: Session, step: number): Promise<void> {
  if (prepared.config.resumeFrom === null) return;
  const later = (await listCheckpoints(store)).filter((other) => other > step);
  for (const other of later) await removeCheckpoint(store, other);
  if (later.length > 0)
    await logger.onNotice(`Going on from step ${step}; checkpoints of later steps (${later.join(', ')}) were removed.`);
}

/** All steps, by programs that are given back at the end. */
async function takeSteps(session: Session, restored: RunState | null, fresh: FreshState): Promise<LoopResult> {
  const { gpu, prepared } = session;
  const { plan, config, open } = prepared;
  const trainer = await Trainer.create(gpu, plan, { config, hostRows: open.weights.hostRows });
  try {
    const loop = await TrainingLoop.begin(session, trainer, restored, fresh);
    return await loop.run();
  } finally {
    trainer.destroy();
  }
}

async function tellFresh({ initialised, freshBytes }: LoadReport, logger: Required<RunLogger>): Promise<void> {
  if (initialised.length === 0) return;
  const names = `${initialised.slice(0, 5).join(', ')}${initialised.length > 5 ? ', …' : ''}`;
  await logger.onNotice(
    `${initialised.length} parameters (${formatBytes(freshBytes)}) are not in the weights and begin anew: ${names}.`,
  );
}

function startOf(session: Session, report: LoadReport, restored: RunState | null): RunStart {
  const { gpu, prepared, startedAt } = session;
  const { config, data, model, open, plan, schedule } = prepared;
  const { all, trained } = countParameters(model);
  return {
    config: echoConfig(config),
    totalSteps: schedule.totalSteps,
    startStep: restored?.step ?? 0,
    baseEvalLoss: restored?.baseEvalLoss ?? null,
    trainRows: documentsOf(data.train).length,
    evalRows: data.held.length,
    adapter: adapterOf(gpu),
    memory: plan.memory,
    lossIsCrossEntropy: objectiveOf(config.objective).lossIsCrossEntropy ?? false,
    startedAt,
    load: {
      source: nameOfModel(config.weightLoader),
      format: open.weights.format,
      parameters: all,
      trainableParameters: trained,
      loaded: report.loaded.length,
      converted: report.converted.length,
      initialised: [...model.lora.keys(), ...report.initialised],
      unused: report.unused,
    },
  };
}

function summaryOf(
  session: Session,
  result: LoopResult,
  exported: Pick<TrainingSummary, 'exported' | 'exportedStep'>,
): TrainingSummary {
  const { gpu, prepared, began, startedAt, foreignBytes } = session;
  const { config, plan } = prepared;
  const { state, finalLoss, finalEvalLoss, secondsToFirstStep } = result;
  return {
    name: config.name,
    steps: state.step,
    baseEvalLoss: state.baseEvalLoss,
    finalEvalLoss,
    best: state.best,
    finalLoss,
    peakBytesPlanned: plan.totalBytes,
    peakBytesAllocated: gpu.counters.peakBytes - foreignBytes,
    adapter: adapterOf(gpu),
    secondsToFirstStep,
    seconds: (performance.now() - began) / 1000,
    tokens: state.tokens,
    startedAt,
    ...exported,
    outDir: config.outDir,
  };
}
