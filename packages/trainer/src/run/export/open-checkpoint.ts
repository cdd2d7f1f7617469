import { isQuantised } from '@lapidary/kernels';
import {
  holdsNonFinite,
  type AdapterLoader,
  type BaseWeights,
  type OpenedWeights,
  type TensorData,
  type WeightLoader,
} from '@lapidary/weights';
import { configFromEcho } from '../../config/config-from-echo.js';
import { NonFiniteParameterError } from '../../errors/errors.js';
import { runFile } from '../../store/file-names.js';
import type { FileStore } from '../../store/file-store.js';
import { loadLatestCheckpoint, type CheckpointTensor } from '../../store/load-checkpoint.js';
import { readRunFile } from '../../store/run-folder.js';
import { listCheckpoints } from '../../store/save-checkpoint.js';
import { parseState, readRunState } from '../checkpoints/run-checkpoints.js';
import { fingerprintWeights } from '../fingerprint.js';
import { compareIdentity, type Identity } from '../identity.js';
import { openModel, textPartOf } from '../prepare/open-model.js';
import { planModel, type ModelPlan } from '../prepare/plan-model.js';
import { bindTask } from '../prepare/prepare-run.js';
import { openStart, type StartAdapter } from '../prepare/start-adapter.js';
import type { RowNorms } from '../row-norms.js';
import { baseSink, firstLora, rowNormsOf } from '../train/load-model.js';
import { ExportError, hostTensor, resultPaths, type RunResult } from './export-run.js';

/** Which checkpoint is opened, and with what. */
export interface OpenCheckpointOptions {
  /** The run's folder. */
  readonly run: FileStore;
  /** Of the checkpoint; `best`: the one with the lowest evaluation loss. Default: the newest. */
  readonly step?: number | 'best' | undefined;
  /** Opens the base by what the run's file says of it: a path or a hub id; undefined where it says nothing that can be opened. */
  readonly openBase: (description: string | undefined) => WeightLoader;
  /** Opens the adapter that the run went on from, by what the run's file says of it. Default: as a config's `adapter`. */
  readonly openAdapter?: ((description: string | undefined) => AdapterLoader) | undefined;
  /** Whether all of the base will be read: then its weights must be those of the run. */
  readonly readsBase: boolean;
}

/** A checkpoint as what its run would have ended with there. */
export interface OpenCheckpoint {
  readonly step: number;
  readonly result: Omit<RunResult, 'onNotice'>;
  readonly notices: readonly string[];
  /** Gives the base's files back. */
  close(): Promise<void>;
}

/** @throws what `exportCheckpoint` does */
export async function openCheckpoint({
  run,
  step: wanted,
  openBase,
  openAdapter,
  readsBase,
}: OpenCheckpointOptions): Promise<OpenCheckpoint> {
  const about = await readRunFile(run);
  const steps = await listCheckpoints(run);
  if (about === null) throw new ExportError(`There is no ${runFile} in ${run.location}: it is no folder of a run.`);
  const step = wanted === 'best' ? await bestStep(run) : wanted;
  const there = steps.length === 0 ? 'there is none' : `there are those of steps ${[...steps].reverse().join(', ')}`;
  if (steps.length === 0 || (step !== undefined && !steps.includes(step)))
    throw new ExportError(
      `There is no checkpoint${step === undefined ? '' : ` of step ${step}`} in ${run.location}; ${there}.`,
    );
  const { weightLoader: base } = about.config;
  const opened = openBase(typeof base === 'string' ? base : undefined);
  const weightLoader = about.baseModel === undefined ? opened : { ...opened, baseModel: about.baseModel };
  const given = configFromEcho(about.config, { weightLoader, openAdapter });
  const whole = await openModel(weightLoader);
  try {
    const { run: config, start } = await openStart(given, whole);
    const found = await loadLatestCheckpoint(run, { atMost: step });
    if (found === null || (step !== undefined && found.step !== step))
      throw new ExportError(`The checkpoint of step ${step} in ${run.location} is damaged.`);
    const { identity } = parseState(run, found);
    // Earlier versions, which kept nothing of their model, knew text parts only.
    const text = textPartOf(whole);
    const isText = identity === undefined || identity.model['family'] === text.weights.config.family;
    const open = isText ? text : whole;
    const { weights } = open;
    const notices = [
      ...found.rejected.map(({ file, reason }) => `${file} cannot be used and was passed over: it ${reason}.`),
      ...compareIdentity(
        identity,
        { adapter: start?.fingerprint ?? null, model: JSON.parse(JSON.stringify(weights.config)) },
        run.location,
      ),
    ];
    const plan = planModel(weights.model, weights.entries, config, bindTask(config, weights.model, weights.format));
    const paths = resultPaths(plan);
    if (readsBase || paths.some((path) => isOfBase(path, plan) && !found.tensors.has(path)))
      await compareWeights(identity, plan, weights, run.location);
    const tensors = await resultTensors({ plan, weights, stored: found.tensors, seed: config.seed, start });
    return {
      step: found.step,
      result: { open, plan, run: config, tensors, baseWeights: baseOf(identity) },
      notices,
      close: () => whole.weights.close(),
    };
  } catch (error) {
    await whole.weights.close();
    throw error;
  }
}

/** The weights that a run's adapter was trained over. */
function baseOf(identity: Identity | undefined): BaseWeights | undefined {
  return identity?.base && { ...identity.base, tensors: new Map(Object.entries(identity.base.tensors)) };
}

/** What a run with these tensors in its checkpoint would end with, by path; without any what it begins with. */
export async function resultTensors(origin: Omit<Origin, 'norms'>): Promise<Map<string, TensorData>> {
  const { plan, weights, stored, start } = origin;
  const paths = resultPaths(plan);
  const fresh = paths.filter((path) => !stored.has(path) && !start?.values.has(path));
  const norms = await loadRowNorms(plan, weights, fresh);
  return new Map(paths.map((path) => [path, tensorOf(path, { ...origin, norms })]));
}

/** The step with the lowest evaluation loss, as the newest checkpoint knows it. @throws ExportError where it knows none */
export async function bestStep(run: FileStore): Promise<number> {
  const best = (await readRunState(run))?.best;
  if (best) return best.step;
  throw new ExportError(
    `The run in ${run.location} knows no best checkpoint: there was no evaluation yet, or none was to be kept (\`keepBest\`).`,
  );
}

/** Whether a result that no step has changed is what the base has: a part of the model, or lengths of its rows. */
const isOfBase = (path: string, { base, host, lora }: ModelPlan) =>
  base.has(path) || path === host?.spec.path || lora.get(path)?.kind === 'magnitude';

/** Lengths of the rows of the weights that these parameters of an adapter begin with. */
async function loadRowNorms(plan: ModelPlan, weights: OpenedWeights, paths: readonly string[]): Promise<RowNorms> {
  const norms = rowNormsOf(plan);
  const wanted = paths.filter((path) => plan.lora.get(path)?.kind === 'magnitude');
  const targets = wanted
    .map((path) => `${plan.lora.get(path)!.linear}.weight`)
    .map((path) => [path, plan.base.get(path)!] as const);
  const sink = baseSink(plan, norms, weights.entries, { write: () => undefined });
  if (targets.length > 0) await weights.load(new Map(targets), sink, { allowUnused: /(?:)/ });
  return norms;
}

/** @throws ResumeMismatchError where the base has other weights than the run began with */
export async function compareWeights(
  identity: Identity | undefined,
  { base }: ModelPlan,
  weights: OpenedWeights,
  location: string,
): Promise<void> {
  if (identity === undefined) return;
  const sink = fingerprintWeights({ write: () => undefined });
  await weights.load(base, sink);
  await sink.sample(weights.hostRows);
  compareIdentity(identity, { weights: sink.fingerprint() }, location);
}

interface Origin {
  readonly plan: ModelPlan;
  readonly weights: OpenedWeights;
  readonly stored: ReadonlyMap<string, CheckpointTensor>;
  readonly seed: number;
  readonly norms: RowNorms;
  readonly start: StartAdapter | null;
}

/** A tensor of the result: from the checkpoint what was trained, else as the run began with it. */
function tensorOf(path: string, { plan, weights, stored, seed, norms, start }: Origin): TensorData {
  const found = stored.get(`${path}/average`) ?? stored.get(path);
  if (found !== undefined) {
    const { dtype, shape, read } = found;
    return { dtype, shape, bytes: () => finite(path, dtype, read) };
  }
  if (path === plan.host?.spec.path) return hostTensor(plan.host, weights);
  const lora = plan.lora.get(path);
  const begun = start?.values.get(path);
  if (lora !== undefined || begun !== undefined) {
    const { shape } = lora ?? plan.base.get(path)!;
    const values = begun ?? firstLora(path, lora!, seed, () => norms.of(`${lora!.linear}.weight`));
    return { dtype: 'f32', shape, bytes: new Uint8Array(values.buffer, values.byteOffset, values.byteLength) };
  }
  const { shape, dtype: kept } = plan.base.get(path)!;
  const dtype = isQuantised(kept) ? 'f32' : kept;
  return { dtype, shape, bytes: () => finite(path, dtype, () => readBase(path, { shape, dtype }, weights)) };
}

async function* finite(
  path: string,
  dtype: TensorData['dtype'],
  read: () => Promise<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const bytes = await read();
  if (holdsNonFinite(dtype, bytes)) throw new NonFiniteParameterError({ path });
  yield bytes;
}

async function readBase(
  path: string,
  target: Pick<TensorData, 'dtype' | 'shape'>,
  weights: OpenedWeights,
): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  const write = (_: string, __: number, bytes: Uint8Array) => void pieces.push(bytes.slice());
  await weights.load(new Map([[path, target]]), { write }, { allowUnused: /(?:)/ });
  return new Uint8Array(await new Blob(pieces as Uint8Array<ArrayBuffer>[]).arrayBuffer());
}
