import type { Gpu } from '@lapidary/gpu';
import type { Variable } from '@lapidary/tensor';
import type { JsonValue, TensorData } from '@lapidary/weights';
import * as v from 'valibot';
import type { ResolvedTrainConfig } from '../../config/train-config.js';
import { CheckpointCorruptError, ResumeMismatchError } from '../../errors/errors.js';
import type { FileStore } from '../../store/file-store.js';
import { loadLatestCheckpoint, readCheckpointState, type LoadedCheckpoint } from '../../store/load-checkpoint.js';
import { saveCheckpoint } from '../../store/save-checkpoint.js';
import { createDeviceSink } from '../device-sink.js';
import type { Trained } from '../prepare/programs.js';
import { readPieces } from '../read-pieces.js';

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
/** JSON has no NaN: what was one is null in a file. */
const runStateSchema = v.object({
  step: count,
  tokens: count,
  baseEvalLoss: v.nullable(v.number()),
  /** Fingerprint of the weights that the run began with; of runs of earlier versions it is not known. */
  weights: v.optional(v.string()),
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

/** Saves trained parameters and optimiser state; tensors are fetched from the device in pieces. */
export function saveRun(
  store: FileStore,
  trained: readonly Trained[],
  state: RunState,
  { keep, keepPeriod }: Pick<ResolvedTrainConfig, 'keep' | 'keepPeriod'>,
): Promise<string> {
  const tensors = new Map<string, TensorData>();
  for (const [name, variable] of trained.flatMap(partsOf)) {
    tensors.set(name, {
      dtype: variable.type.dtype,
      shape: variable.type.shape,
      bytes: () => readPieces(variable),
    });
  }
  const plain = JSON.parse(JSON.stringify(state)) as JsonValue;
  return saveCheckpoint(store, state.step, { tensors, state: plain }, { newest: keep, period: keepPeriod });
}

/** What the newest checkpoint knows beside its tensors; null where there is none that is whole. @throws CheckpointCorruptError */
export async function readRunState(store: FileStore): Promise<RunState | null> {
  const found = await readCheckpointState(store);
  return found && parseState(store, found);
}

/**
 * Puts the newest whole checkpoint back on the device. Null: there is none.
 * @throws ResumeMismatchError when it belongs to other weights than `weights` is the fingerprint of; CheckpointCorruptError
 */
export async function restoreRun(
  gpu: Gpu,
  store: FileStore,
  trained: readonly Trained[],
  weights: string,
  onNotice: (message: string) => unknown,
): Promise<RunState | null> {
  const found = await loadLatestCheckpoint(store);
  if (found === null) return null;
  const state = parseState(store, found);
  if (state.weights !== undefined && state.weights !== weights) {
    const changes = [{ path: 'weights', saved: state.weights, now: weights }];
    throw new ResumeMismatchError({ location: store.location, changes });
  }
  for (const { file, reason } of found.rejected) await onNotice(`${file} is damaged and was passed over: ${reason}`);
  const parts = new Map(trained.flatMap(partsOf));
  const sink = createDeviceSink(gpu, parts);
  for (const [name, variable] of parts) {
    const stored = found.tensors.get(name);
    if (stored === undefined || stored.shape.join() !== variable.type.shape.join()) {
      throw new CheckpointCorruptError({
        location: store.location,
        rejected: [{ file: found.manifest, reason: `'${name}' is missing or of another shape` }],
      });
    }
    await sink.write(name, 0, await stored.read());
  }
  return state;
}

function parseState(store: FileStore, { state, manifest }: Pick<LoadedCheckpoint, 'state' | 'manifest'>): RunState {
  const parsed = v.safeParse(runStateSchema, state);
  if (parsed.success) return parsed.output;
  const issue = parsed.issues[0];
  const reason = `its state is not one of this version: ${v.getDotPath(issue) ?? 'state'}: ${issue.message}`;
  throw new CheckpointCorruptError({ location: store.location, rejected: [{ file: manifest, reason }] });
}
