import { modelOf, plannedHostRows, type Model, type ModelConfig, type WeightFormat } from '@lapidary/gemma';
import { baselineProfile, deriveProfile, type DeviceProfile, type Gpu } from '@lapidary/gpu';
import { checkKernels, type DType, type KernelTuning } from '@lapidary/kernels';
import { withoutSecrets } from '@lapidary/weights';
import { planRun, type RunSchedule } from '../../config/plan-run.js';
import type { ResolvedTrainConfig } from '../../config/train-config.js';
import { ConfigError } from '../../errors/errors.js';
import { objectiveOf } from '../../objectives/registry.js';
import type { Example, RunData, SampleContext, Task } from '../../objectives/objective.js';
import { formatBytes } from '../../format/format.js';
import type { Phase, RunLogger } from '../../metrics/logger.js';
import { SeenPictures, type SeenBefore } from '../seen-pictures.js';
import { checkContext } from './check-context.js';
import { checkFit } from './check-fit.js';
import { chooseKernels, type ChooseKernelsOptions, type UsedKernels } from './choose-kernels.js';
import { patchesOf, shorterMaxLength, smallerBatch } from './fit-settings.js';
import { openData, type OpenedData, type ReadProgress } from './open-data.js';
import { measuredRows } from './measured-rows.js';
import { openModel, pathForPictures, textPartOf, type OpenModel } from './open-model.js';
import { describeHost, planModel, type ModelPlan, type StoredTypes } from './plan-model.js';
import { programsOf } from './plan-programs.js';
import { openStart, type StartAdapter } from './start-adapter.js';
import { describeBudget, planWithinBudget, type RunPlan } from './plan-within-budget.js';

/** What a run would take: planned, nothing allocated. */
export interface PlannedRun {
  readonly config: ResolvedTrainConfig;
  readonly model: ModelPlan;
  readonly plan: RunPlan;
  /** What the run does to stay within its memory budget, in sentences. */
  readonly budgetNotices: readonly string[];
}

/** A run whose model and data are open, with everything decided: what is trained, in which programs, with which kernels. */
export interface PreparedRun extends PlannedRun {
  readonly open: OpenModel;
  /** What the run goes on from; null: a LoRA begins anew, or there is none. */
  readonly start: StartAdapter | null;
  readonly task: Task;
  readonly data: RunData;
  readonly schedule: RunSchedule;
  /** Those that the run has read. */
  readonly pictures: SeenPictures;
  /** What everything of the run is planned from. */
  readonly profile: DeviceProfile;
  readonly used: UsedKernels;
  /** What was measured to choose kernels; null where nothing was. */
  readonly tuning: KernelTuning | null;
  /** Gives the files back. */
  close(): Promise<void>;
}

/** How a run is prepared. */
export interface PrepareRunOptions {
  readonly logger?: Pick<RunLogger, 'onPhase' | 'onNotice'>;
  readonly signal?: AbortSignal;
  /** Kernels that the run began with, where it goes on. */
  readonly before?: UsedKernels | undefined;
  /** Pictures that the run read before, where it goes on. */
  readonly seenBefore?: SeenBefore | undefined;
  /** In place of the config's `kernelTuning`; with how to measure, and where choices are kept. */
  readonly tuning?: Partial<Pick<ChooseKernelsOptions, 'mode' | 'again' | 'store' | 'clock'>>;
  /** Whether what cannot fit is refused. Default true. */
  readonly refuse?: boolean;
}

/**
 * Opens model and data, plans memory, evaluations and samples included, and decides on kernels. Everything that runs takes what this
 * gives. Nothing is allocated; without a device (`gpu` null) it is planned for WebGPU's baseline. `close` it when done.
 * @throws what the loader and the data throw; ConfigError for rows beyond the model's context and patterns that match nothing;
 * RunTooLargeError beyond `memoryBudget`, and unless `refuse` is false where the device or the machine cannot hold it.
 */
export async function prepareRun(
  given: ResolvedTrainConfig,
  gpu: Gpu | null,
  options: PrepareRunOptions = {},
): Promise<PreparedRun> {
  const { logger } = options;
  if (gpu !== null) {
    // Before anything is planned: a variant that fails on this device is not used, and named.
    const { disabled } = await checkKernels(gpu, { notice: () => undefined });
    for (const { message } of disabled) await logger?.onNotice?.(message);
  }
  await logger?.onPhase?.({ name: 'Opening model and data' });
  const whole = await openModel(given.weightLoader, { identify: true });
  let closeData = async () => {};
  const close = async () => {
    await closeData();
    await whole.weights.close();
  };
  try {
    const pictures = new SeenPictures(options.seenBefore);
    const { run: adopted, start } = await openStart(given, whole);
    for (const notice of start?.notices ?? []) await logger?.onNotice?.(notice);
    const { run: config, open, task, data } = await openRows(adopted, { whole, start }, pictures, options);
    closeData = data.close;
    checkEvaluated(config, data);
    const model = planModel(open.model, open.weights.entries, config, task);
    const aboutHost = describeHost(model);
    if (aboutHost !== null) await logger?.onNotice?.(aboutHost);
    const make = planner(config, model, task, data, open);
    const chosen = await decide(config, gpu, make, options);
    const budgetNotices = describeBudget(chosen.plan, config);
    if (gpu !== null && options.refuse !== false) {
      const tight = checkFit(chosen.profile, chosen.plan, config);
      if (tight !== null) await logger?.onNotice?.(tight);
    }
    for (const notice of budgetNotices) await logger?.onNotice?.(notice);
    const schedule = planRun(config, data.train.length);
    return { config, open, start, task, data, pictures, model, schedule, ...chosen, budgetNotices, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** @throws ConfigError for settings that go by evaluations where there are no rows to evaluate on */
function checkEvaluated({ earlyStopping, keepBest }: ResolvedTrainConfig, { held }: RunData): void {
  if (held.length > 0) return;
  const allowed = 'only with rows to evaluate on: `evalData`, or an `evalFraction` above 0';
  const problems = [
    ...(earlyStopping ? [{ path: 'earlyStopping', found: JSON.stringify(earlyStopping), allowed }] : []),
    ...(keepBest === 'export' ? [{ path: 'keepBest', found: "'export'", allowed }] : []),
  ];
  if (problems.length > 0) throw new ConfigError({ problems });
}

/**
 * The rows of a run, and its settings with what these and the model's context bound. Where there is no picture, and no adapter that sees any
 * is gone on from, the run is one of the model's text part.
 */
async function openRows(
  given: ResolvedTrainConfig,
  { whole, start }: { readonly whole: OpenModel; readonly start: StartAdapter | null },
  pictures: SeenPictures,
  { logger, signal }: PrepareRunOptions,
): Promise<{ run: ResolvedTrainConfig; open: OpenModel; task: Task; data: OpenedData }> {
  const objective = objectiveOf(given.objective);
  const read = async (run: ResolvedTrainConfig) => {
    const task = bindTask(run, whole.model, whole.weights.format);
    const reading = { onProgress: (progress: ReadProgress) => logger?.onPhase?.(readingPhase(progress)) };
    const data = await openData(run, objective, task, whole, pictures, { ...reading, ...(signal && { signal }) });
    return { run, task, data };
  };
  let found = await read(given);
  const notices: string[] = [];
  const patches = patchesOf(found.data);
  const isText = patches === 0 && pathForPictures(whole.model, start?.values.keys() ?? []) === undefined;
  const open = isText ? textPartOf(whole) : whole;
  const maxLength = shorterMaxLength(given, open.model, patches);
  if (maxLength !== null) {
    await found.data.close();
    found = await read({ ...given, maxLength });
    const beside = patches === 0 ? '' : ` beside ${patches} places of pictures`;
    notices.push(`Rows may have ${maxLength} tokens: the model's context has no room for more${beside}.`);
  }
  const batchSize = smallerBatch(given, found.data);
  if (batchSize !== null) {
    found = { ...found, run: { ...found.run, batchSize } };
    notices.push(
      `There are only ${batchSize} ${given.packing ? 'sequences' : 'rows'} to learn from: \`batchSize\` is ${batchSize}, not ${given.batchSize}.`,
    );
  }
  if (open !== whole)
    notices.push('No row has a picture: the run is one of the text model, and leaves the vision tower as it is.');
  for (const notice of [...open.weights.notices, ...found.data.notices, ...notices]) await logger?.onNotice?.(notice);
  return { ...found, open, task: bindTask(found.run, open.model, open.weights.format) };
}

/**
 * What a run on a model would take, from its configuration alone: nothing is read or downloaded. Rows are taken to be as long as
 * `maxLength` allows, all of it learned, with one picture each where the model sees pictures. Weights are of `dtype`, bf16 as published.
 * @throws ConfigError, also for an adapter to go on from, which would be read; RunTooLargeError as `prepareRun`
 */
export function planRelease(
  modelConfig: ModelConfig,
  given: ResolvedTrainConfig,
  { profile = baselineProfile, dtype = 'bf16' }: { readonly profile?: DeviceProfile; readonly dtype?: DType } = {},
): PlannedRun {
  if (given.adapter !== null) {
    const allowed = 'null: of a model by its name alone nothing is read. Name the files of the model';
    throw new ConfigError({ problems: [{ path: 'adapter', found: 'an adapter to go on from', allowed }] });
  }
  const released = modelOf(modelConfig);
  const maxLength = shorterMaxLength(given, released, released.vision?.tokensPerImage ?? 0) ?? given.maxLength;
  const config = { ...given, maxLength };
  const entries: StoredTypes = new Map(released.params.map(({ path }) => [path, { dtype }]));
  const task = bindTask(config, released, 'safetensors');
  const model = planModel(released, entries, config, task);
  const train = task.assumed();
  const isEvaluated = config.evalData !== null || config.evalFraction > 0;
  const data = { train, held: isEvaluated ? train : [], notices: [] };
  const { matmulPrecision } = config;
  const plan = planner(config, model, task, data)(deriveProfile(profile, { matmulPrecision }));
  return { config, model, plan, budgetNotices: describeBudget(plan, config) };
}

/** How far reading is, as a phase. */
function readingPhase({ file, rows, tokens, bytes, totalBytes }: ReadProgress): Phase {
  const count = (value: number) => value.toLocaleString('en');
  const detail = `${count(rows)} rows, ${count(tokens)} tokens, ${formatBytes(bytes)} of ${formatBytes(totalBytes)} of ${withoutSecrets(file)}`;
  return { name: 'Reading rows', done: bytes, total: totalBytes, detail };
}

/** The objective of a config for a model. */
export function bindTask(config: ResolvedTrainConfig, model: Model, weightFormat: WeightFormat): Task {
  return objectiveOf(config.objective).bind(model, { settings: config.objective, limits: config, weightFormat });
}

/** Plans a run from a device's profile: its programs for all lengths of batches, and its samples. */
function planner(
  config: ResolvedTrainConfig,
  model: ModelPlan,
  task: Task,
  data: RunData,
  open?: OpenModel,
): (profile: DeviceProfile) => RunPlan {
  checkContext(config, model.step.model, patchesOf(data));
  const shapes = {
    train: task.shapes(data.train),
    measured: task.shapes(measuredRows(data, config)),
    microBatches: config.gradientAccumulation,
  };
  const { params, evaluated = params, options } = model.step;
  return (profile) => {
    const context: SampleContext = {
      profile,
      model: model.step.model,
      params: evaluated,
      options: samplingOptions(options),
      hostRows:
        open?.weights.hostRows ?? (model.host ? plannedHostRows(model.step.model, model.host.dtype) : undefined),
      ...(open && { tokenizer: open.tokenizer }),
    };
    const samples = task.planSamples(sampledOf(data), context);
    return planWithinBudget(profile, model, shapes, samples, config);
  };
}

const samplingOptions = ({ loraDropout: _, ...options }: ModelPlan['step']['options']) => options;

/** The rows that samples are taken of. */
const sampledOf = ({ train, held }: RunData): readonly Example[] => (held.length > 0 ? held : train);

async function decide(
  config: ResolvedTrainConfig,
  gpu: Gpu | null,
  make: (profile: DeviceProfile) => RunPlan,
  { logger, signal, before, tuning = {}, refuse = true }: PrepareRunOptions,
): Promise<Pick<PreparedRun, 'plan' | 'profile' | 'used' | 'tuning'>> {
  if (gpu === null) {
    const profile = deriveProfile(baselineProfile, { matmulPrecision: config.matmulPrecision });
    return { plan: make(profile), profile, used: { device: '', choices: {} }, tuning: null };
  }
  const { kernelTuning, matmulPrecision } = config;
  const checked = (profile: DeviceProfile) => {
    const plan = make(profile);
    // What does not fit is refused before kernels are measured.
    if (refuse) checkFit(profile, plan, config);
    return plan;
  };
  return chooseKernels(gpu, checked, programsOf, {
    mode: kernelTuning,
    ...tuning,
    precision: matmulPrecision,
    before,
    ...(logger && { logger }),
    ...(signal && { signal }),
  });
}
