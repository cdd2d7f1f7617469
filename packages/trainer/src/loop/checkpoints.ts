import type { TensorData } from '@lapidary/weights';
import type { ResolvedTrainConfig } from '../config/train-config.js';
import { CheckpointCorruptError, ResumeMismatchError } from '../errors/errors.js';
import type { FileStore } from '../store/file-store.js';
import { loadLatestCheckpoint } from '../store/load-checkpoint.js';
import { saveCheckpoint } from '../store/save-checkpoint.js';
import type { Trained } from './train-programs.js';
import type { UsedKernels } from './tuned-plan.js';

/** What a run knows beside its tensors. */
export interface RunState {
  readonly step: number;
  readonly tokens: number;
  readonly baseEvalLoss: number | null;
  /** Fingerprint of the weights that the run began with; of runs of earlier versions it is not known. */
  readonly weights?: string;
  /** The variants that its matrix products use; those of runs of earlier versions are not known. */
  readonly kernels?: UsedKernels;
}

const parts = ({ path, param, m, v }: Trained) =>
  [
    [path, param],
    [`${path}/m`, m],
    [`${path}/v`, v],
  ] as const;

/** Saves trained parameters and optimiser state; tensors are fetched from the device one at a time. */
export function saveRun(
  store: FileStore,
  trained: readonly Trained[],
  state: RunState,
  { keep, keepPeriod }: ResolvedTrainConfig,
): Promise<string> {
  const tensors = new Map<string, TensorData>();
  for (const [name, variable] of trained.flatMap(parts)) {
    tensors.set(name, {
      dtype: variable.type.dtype,
      shape: variable.type.shape,
      bytes: async function* () {
        yield await variable.readBytes();
      },
    });
  }
  return saveCheckpoint(store, state.step, { tensors, state: { ...state } }, { newest: keep, period: keepPeriod });
}

/**
 * Puts the newest whole checkpoint back on the device. Null: there is none.
 * @throws ResumeMismatchError when it belongs to other weights than `weights` is the fingerprint of.
 */
export async function restoreRun(
  store: FileStore,
  trained: readonly Trained[],
  weights: string,
  onNotice: (message: string) => unknown,
): Promise<RunState | null> {
  const found = await loadLatestCheckpoint(store);
  if (found === null) return null;
  const state = found.state as unknown as RunState;
  if (state.weights !== undefined && state.weights !== weights) {
    const changes = [{ path: 'weights', saved: state.weights, now: weights }];
    throw new ResumeMismatchError({ location: store.location, changes });
  }
  for (const { file, reason } of found.rejected) await onNotice(`${file} is damaged and was passed over: ${reason}`);
  for (const [name, variable] of trained.flatMap(parts)) {
    const stored = found.tensors.get(name);
    if (stored === undefined || stored.shape.join() !== variable.type.shape.join()) {
      throw new CheckpointCorruptError({
        location: store.location,
        rejected: [{ file: found.manifest, reason: `'${name}' is missing or of another shape` }],
      });
    }
    variable.write(await stored.read());
  }
  return state;
}
