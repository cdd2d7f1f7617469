import type { Gpu } from '@lapidary/gpu';
import type { Variable } from '@lapidary/tensor';
import { holdsNonFinite, type JsonValue, type TensorData } from '@lapidary/weights';
import * as v from 'valibot';
import { CheckpointCorruptError } from '../../errors/errors.js';
import type { FileStore } from '../../store/file-store.js';
import {
  loadLatestCheckpoint,
  readCheckpointState,
  type CheckpointTensor,
  type LoadedCheckpoint,
} from '../../store/load-checkpoint.js';
import { saveCheckpoint, type KeepRule } from '../../store/save-checkpoint.js';
import { createDeviceSink } from '../device-sink.js';
import type { Trained } from '../prepare/programs.js';
import { identitySchema } from '../identity.js';
import { readFinitePieces } from '../read-pieces.js';

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
/** JSON has no NaN: what was one is null in a file. */
const runStateSchema = v.object({
  step: count,
  tokens: count,
  baseEvalLoss: v.nullable(v.number()),
  /** Step of the last evaluation. */
  evaluated: v.optional(count, 0),
  /** The evaluation with the lowest loss, of which there is a checkpoint; null before the first. */
  best: v.optional(v.nullable(v.object({ step: count, loss: v.number() })), null),
  /** The loss that later ones must be below (`earlyStopping`), and the evaluations that were not; null before the first. */
  stalled: v.optional(v.nullable(v.object({ loss: v.number(), evaluations: count })), null),
  /** What the run was begun with; of runs of earlier versions it is not known. */
  identity: v.optional(identitySchema),
  /** Fingerprints of the pictures that it read, as `SeenPictures` gives them; of runs of earlier versions they are not known. */
  pictures: v.optional(v.record(v.string(), v.string())),
  /** The variants that its matrix products use; those of runs of earlier versions are not known. */
  kernels: v.optional(v.object({ device: v.string(), choices: v.record(v.string(), v.string()) })),
});

/** What a run knows beside its tensors. */
export type RunState = Readonly<v.InferOutput<typeof runStateSchema>>;

/** What is saved of a parameter, by the name it has in a checkpoint. */
const partsOf = ({ path, param, state, average }: Trained): (readonly [string, Variable])[] => [
  [path, param],
  ...Object.entries(state).map(([name, variable]) => [`${path}/${name}`, variable] as const),
  ...(average ? [[`${path}/average`, average] as const] : []),
];

/**
 * Saves trained parameters and optimiser state; tensors are fetched from the device in pieces.
 * @throws NonFiniteParameterError where one of them holds a value that is not finite; nothing of it is left in the store
 */
export function saveRun(
  store: FileStore,
  trained: readonly Trained[],
  state: RunState,
  keep: KeepRule,
): Promise<string> {
  const tensors = new Map<string, TensorData>();
  for (const [name, variable] of trained.flatMap(partsOf)) {
    tensors.set(name, {
      dtype: variable.type.dtype,
      shape: variable.type.shape,
      bytes: () => readFinitePieces(name, variable),
    });
  }
  const plain = JSON.parse(JSON.stringify(state)) as JsonValue;
  return saveCheckpoint(store, state.step, { tensors, state: plain }, keep);
}

/** What the newest checkpoint knows beside its tensors; null where there is none that is whole. @throws CheckpointCorruptError */
export async function readRunState(store: FileStore, atMost?: number): Promise<RunState | null> {
  const found = await readCheckpointState(store, { atMost });
  return found && parseState(store, found);
}

/** What a run goes on from. */
export interface RestoreOptions {
  /** The step to go back to. Default: the newest. */
  readonly atMost?: number | undefined;
  readonly onNotice: (message: string) => unknown;
}

/** Puts the newest checkpoint that is whole, and finite, back on the device. Null: there is none. @throws CheckpointCorruptError */
export async function restoreRun(
  gpu: Gpu,
  store: FileStore,
  trained: readonly Trained[],
  { atMost, onNotice }: RestoreOptions,
): Promise<RunState | null> {
  const wanted = new Map(trained.flatMap(partsOf));
  const found = await loadLatestCheckpoint(store, {
    atMost,
    reject: ({ tensors }) => writeTensors(gpu, tensors, wanted),
  });
  if (found === null) return null;
  const state = parseState(store, found);
  for (const { file, reason } of found.rejected)
    await onNotice(`${file} cannot be used and was passed over: it ${reason}.`);
  return state;
}

/** Puts tensors on the device, as far as they can be used; says why where they cannot. */
async function writeTensors(
  gpu: Gpu,
  tensors: ReadonlyMap<string, CheckpointTensor>,
  wanted: ReadonlyMap<string, Variable>,
): Promise<string | null> {
  const sink = createDeviceSink(gpu, wanted);
  for (const [name, variable] of wanted) {
    const { dtype, shape } = variable.type;
    const stored = tensors.get(name);
    if (stored === undefined || stored.dtype !== dtype || stored.shape.join() !== shape.join())
      return `holds no '${name}' of this run's type and shape`;
    const bytes = await stored.read();
    if (holdsNonFinite(dtype, bytes)) return `holds values in '${name}' that are not finite`;
    await sink.write(name, 0, bytes);
  }
  return null;
}

/** The state in a checkpoint. @throws CheckpointCorruptError */
export function parseState(
  store: FileStore,
  { state, manifest }: Pick<LoadedCheckpoint, 'state' | 'manifest'>,
): RunState {
  const parsed = v.safeParse(runStateSchema, state);
  if (parsed.success) return parsed.output;
  const issue = parsed.issues[0];
  const reason = `its state is not one of this version: ${v.getDotPath(issue) ?? 'state'}: ${issue.message}`;
  throw new CheckpointCorruptError({ location: store.location, rejected: [{ file: manifest, reason }] });
}
