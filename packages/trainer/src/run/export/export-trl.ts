import {
  peftAdapterFiles,
  withoutSecrets,
  type AdapterLoader,
  type MergedAdapter,
  type WeightLoader,
} from '@lapidary/weights';
import { configFromEcho } from '../../config/config-from-echo.js';
import type { ResolvedTrainConfig } from '../../config/train-config.js';
import type { DataSource } from '../../data/data-options.js';
import { epochOrder } from '../../data/order.js';
import { ConfigError, type ConfigProblem } from '../../errors/errors.js';
import { loadOne, type StoredExample } from '../../objectives/completion/stored-examples.js';
import type { CompletionExample } from '../../objectives/completion/tokenise.js';
import type { Example } from '../../objectives/objective.js';
import { formatBytes } from '../../format/format.js';
import { runFile } from '../../store/file-names.js';
import type { FileContent, FileStore } from '../../store/file-store.js';
import { loadLatestCheckpoint } from '../../store/load-checkpoint.js';
import { readRunFile } from '../../store/run-folder.js';
import { listCheckpoints } from '../../store/save-checkpoint.js';
import { parseState } from '../checkpoints/run-checkpoints.js';
import { compareIdentity, identityOf } from '../identity.js';
import { prepareRun, type PreparedRun } from '../prepare/prepare-run.js';
import { baseNameOf } from './base-name.js';
import { mergedModel } from './export-form.js';
import { ExportError, valuesOf } from './export-run.js';
import { filesBeside } from './files-beside.js';
import { bestStep, compareWeights, resultTensors } from './open-checkpoint.js';
import { trlScript } from './trl-script.js';
import { writeFiles } from './write-files.js';

/** Which run is written for TRL, and where. */
export interface ExportTrlOptions {
  /** The run's folder. */
  readonly run: FileStore;
  readonly out: FileStore;
  /** The checkpoint that is gone on from; `best`: that with the lowest evaluation loss. Default: the run's beginning. */
  readonly step?: number | 'best' | undefined;
  /** Opens the base by what the run's file says of it; see `exportCheckpoint`. */
  readonly openBase: (description: string | undefined) => WeightLoader;
  readonly openAdapter?: ((description: string | undefined) => AdapterLoader) | undefined;
  /** Opens the rows, by what the run's file says of them. Default: as a config's `data.source`. */
  readonly openRows?: ((description: string) => Promise<DataSource>) | undefined;
}

/** What was written for TRL. */
export interface ExportedTrl {
  /** What the run goes on from; 0: its beginning. */
  readonly step: number;
  readonly files: readonly string[];
  readonly notices: readonly string[];
}

/**
 * A run as files for `accelerate launch train.py`, which trains it with TRL and PEFT: the name of its base, the adapter as it begins or as a
 * checkpoint has it, its rows as tokens with what of them is learned, the rows and the learning rate of every step, and a program that reads
 * all that. Nothing is computed here. The moments of the optimiser stay behind: from a checkpoint on it begins anew.
 * @throws ConfigError for what TRL would do otherwise; RunFileError, CheckpointCorruptError, ResumeMismatchError for rows or a base that are
 * not the run's, ExportError; what the loader and the rows throw
 */
export async function exportTrl({ run, out, step: wanted, ...open }: ExportTrlOptions): Promise<ExportedTrl> {
  const taken = (await out.list()).find(({ name }) => name === trainFile || name === runFile);
  if (taken !== undefined) throw new ExportError(`${out.location} holds ${taken.name} already: name another folder.`);
  const config = await configOf(run, open);
  const notices: string[] = [];
  const onNotice = (notice: string) => void notices.push(notice);
  const prepared = await prepareRun(config, null, { refuse: false, logger: { onNotice } });
  try {
    refuseOther(prepared);
    const found = await checkpointOf(run, wanted, prepared);
    const step = found?.step ?? 0;
    if (step >= prepared.schedule.totalSteps)
      throw new ExportError(`The run in ${run.location} ends with step ${step}: nothing is left of it to train.`);
    if (step > 0) onNotice(`The optimiser’s moments are not passed on: from step ${step} on they begin anew.`);
    if (prepared.config.lora?.dropout)
      onNotice('Dropout draws other numbers in Python: losses are alike, not the same.');
    const base = prepared.open.weights.format === 'gguf' ? await baseFolder(run, prepared) : {};
    const hasBase = Object.keys(base).length > 0;
    if (hasBase)
      onNotice(
        `The base is a GGUF file: base/ holds its weights as f32, ${formatBytes(4 * countValues(prepared))}. Those that were published are not what this run is trained on.`,
      );
    const name = baseNameOf(config.weightLoader, prepared.open.weights) ?? localFolder(prepared);
    if (name === undefined && !hasBase)
      onNotice('The base has no name that Python can open: train.py must be told it with --model.');
    const about = { ...describe(prepared, step), model: name === undefined ? null : withoutSecrets(name) };
    const files: Record<string, FileContent> = {
      [trainFile]: trlScript,
      [runFile]: `${JSON.stringify(about, null, 1)}\n`,
      'rows.jsonl': rowLines(prepared.data.train),
      ...inFolder('adapter', await adapterFiles(prepared, found?.tensors ?? new Map(), about.model)),
      ...inFolder('tokenizer', await filesBeside(prepared.open, onNotice)),
      ...inFolder('base', base),
    };
    return { step, files: await writeFiles(out, files), notices };
  } finally {
    await prepared.close();
  }
}

const trainFile = 'train.py';

/** The run's settings with its rows, as far as they say what it learns. */
async function configOf(
  run: FileStore,
  { openBase, openAdapter, openRows }: Pick<ExportTrlOptions, 'openBase' | 'openAdapter' | 'openRows'>,
): Promise<ResolvedTrainConfig> {
  const about = await readRunFile(run);
  if (about === null) throw new ExportError(`There is no ${runFile} in ${run.location}: it is no folder of a run.`);
  const { weightLoader: base, data } = about.config;
  const opened = openBase(typeof base === 'string' ? base : undefined);
  const weightLoader = about.baseModel === undefined ? opened : { ...opened, baseModel: about.baseModel };
  const source = typeof data === 'object' && data !== null && 'source' in data ? data['source'] : undefined;
  const isCounted = typeof source === 'string' && /^\d+ rows$/.test(source);
  if (isCounted || (typeof source !== 'string' && !Array.isArray(source)))
    throw new ExportError(
      `The rows of the run in ${run.location} were handed over in code: its file does not name them.`,
    );
  const rows = typeof source === 'string' ? ((await openRows?.(source)) ?? source) : source.filter(isRow);
  return {
    ...configFromEcho(about.config, {
      weightLoader,
      openAdapter,
      source: rows,
    }),
    // These ask for rows to evaluate on, or for less than all of the run.
    earlyStopping: null,
    keepBest: 'never',
    memoryBudget: null,
    kernelTuning: 'never',
  };
}

const isRow = (value: unknown): value is object => typeof value === 'object' && value !== null;

/** @throws ConfigError for settings and rows of which TRL would make something else */
function refuseOther({ config, data }: PreparedRun): void {
  const { lora, objective, optimizer, packing, emaDecay, paramGroups, freeze, quantize } = config;
  const problems: ConfigProblem[] = [];
  const only = (isWrong: boolean, path: string, found: unknown, allowed: string) => {
    if (isWrong) problems.push({ path, found: JSON.stringify(found), allowed: `${allowed}, for TRL` });
  };
  only(lora === null, 'lora', null, 'a LoRA');
  only(objective.type !== 'completion', 'objective.type', objective.type, "'completion'");
  const { labelSmoothing = 0 } = objective as { readonly labelSmoothing?: number };
  only(objective.type === 'completion' && labelSmoothing > 0, 'objective.labelSmoothing', labelSmoothing, '0');
  only(optimizer.type !== 'adamw', 'optimizer.type', optimizer.type, "'adamw'");
  only(quantize !== null, 'quantize', quantize, 'null');
  only(packing, 'packing', true, 'false');
  only(emaDecay !== null, 'emaDecay', emaDecay, 'null');
  only(paramGroups.length > 0, 'paramGroups', paramGroups.length, 'none');
  only(freeze.length > 0, 'freeze', freeze.length, 'none');
  only(
    data.train.some(({ patches }) => patches > 0),
    'data',
    'pictures',
    'rows of text',
  );
  const isSeenWhole = ({ prefix }: Example & { readonly prefix?: number }) => (prefix ?? 0) > 0;
  only(
    data.train.some(isSeenWhole),
    'data',
    'prompts that see themselves in both directions',
    'a model that is causal',
  );
  if (problems.length > 0) throw new ConfigError({ problems, subject: 'The run' });
}

/** The checkpoint that is asked for, of this data and this base. @throws ExportError, ResumeMismatchError */
async function checkpointOf(run: FileStore, wanted: ExportTrlOptions['step'], prepared: PreparedRun) {
  const step = wanted === 'best' ? await bestStep(run) : wanted;
  const newest = await loadLatestCheckpoint(run, step === undefined ? {} : { atMost: step });
  if (step !== undefined && newest?.step !== step)
    throw new ExportError(
      `There is no whole checkpoint of step ${step} in ${run.location}; there are those of steps ${[...(await listCheckpoints(run))].join(', ') || '(none)'}.`,
    );
  // What the run was begun with stands in each of its checkpoints.
  if (newest !== null) compareIdentity(parseState(run, newest).identity, identityOf(prepared), run.location);
  return step === undefined ? null : newest;
}

/** A folder that transformers can open. */
function localFolder({ config, open }: PreparedRun): string | undefined {
  const { description } = config.weightLoader;
  const isFolder = typeof description === 'string' && !/^https?:|\.(safetensors|gguf|npz)$/i.test(description);
  return open.weights.format === 'safetensors' && isFolder ? description : undefined;
}

/**
 * The weights of a GGUF as transformers loads them. It opens such files itself too, but reads less of what they say: neither frequencies nor
 * how queries are scaled.
 * @throws ResumeMismatchError where they are not the run's
 */
async function baseFolder(run: FileStore, { open, model }: PreparedRun): Promise<Record<string, FileContent>> {
  const newest = await loadLatestCheckpoint(run);
  if (newest !== null) await compareWeights(parseState(run, newest).identity, model, open.weights, run.location);
  return mergedModel({ open, adapter: noUpdates, params: null }, { shardBytes: usualShard });
}

const countValues = ({ open }: PreparedRun) =>
  open.model.params.reduce((sum, { shape }) => sum + shape.reduce((size, length) => size * length, 1), 0);

const noUpdates: MergedAdapter = { updates: new Map(), tensors: new Map(), params: new Map(), splitsEmbedding: false };
/** As transformers cuts checkpoints. */
const usualShard = 5e9;

function describe({ config, data, schedule }: PreparedRun, from: number) {
  const { batchSize, gradientAccumulation, seed, gradientCheckpointing, optimizer } = config;
  const rowsOfStep = batchSize * gradientAccumulation;
  const { totalSteps, stepsPerEpoch } = schedule;
  const count = data.train.length;
  const steps = Array.from({ length: totalSteps - from }, (_, i) => {
    const step = from + i;
    const order = epochOrder(count, seed, Math.floor(step / stepsPerEpoch));
    const first = (step % stepsPerEpoch) * rowsOfStep;
    const rows = Array.from({ length: rowsOfStep }, (_row, n) => order[first + n] ?? null);
    return { learningRate: schedule.schedule(step), rows };
  });
  const { type: _, learningRate: __, clipGradNorm, ...adamw } = optimizer;
  return { seed, batchSize, rowsOfStep, gradientCheckpointing, clipGradNorm, optimizer: adamw, steps };
}

/** A line a row, as they are asked for. */
async function* rowLines(examples: readonly Example[]): AsyncGenerator<Uint8Array> {
  const utf8 = new TextEncoder();
  for (const example of examples) {
    const { tokens, lossMask } = await loadOne(example as StoredExample | CompletionExample);
    const row = {
      input_ids: [...tokens],
      labels: Array.from(tokens, (token, i) => (i > 0 && lossMask[i] ? token : -100)),
    };
    yield utf8.encode(`${JSON.stringify(row)}\n`);
  }
}

async function adapterFiles(
  { config, model, open, start }: PreparedRun,
  stored: Parameters<typeof resultTensors>[0]['stored'],
  baseModel: string | null,
): Promise<Record<string, FileContent>> {
  const { weights } = open;
  const all = await resultTensors({ plan: model, weights, stored, seed: config.seed, start });
  const tensors = new Map<string, Float32Array>();
  const params = new Map([...all].filter(([path]) => !model.lora.has(path)));
  for (const path of model.lora.keys()) {
    const tensor = all.get(path);
    if (tensor) tensors.set(path, await valuesOf(tensor));
  }
  return {
    ...peftAdapterFiles({
      model: open.model,
      updates: model.updates,
      rslora: config.lora?.rslora ?? false,
      dropout: config.lora?.dropout ?? 0,
      tensors,
      params,
      ...(baseModel !== null && { baseModel }),
      ...(weights.format === 'safetensors' && { baseConfig: weights.metadata }),
    }),
  };
}

const inFolder = (folder: string, files: Readonly<Record<string, FileContent>>): Record<string, FileContent> =>
  Object.fromEntries(Object.entries(files).map(([name, content]) => [`${folder}/${name}`, content]));
