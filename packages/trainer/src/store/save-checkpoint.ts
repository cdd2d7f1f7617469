import { encodeSafetensors, type JsonValue, type TensorData } from '@lapidary/weights';
import type { FileStore } from './file-store.js';
import {
  checkpointFolder,
  formatManifest,
  manifestName,
  parseManifest,
  stepOfManifest,
} from './checkpoint-manifest.js';
import { readText } from './file-store.js';
import { createSha256 } from './sha256.js';

/** What a checkpoint holds. */
export interface CheckpointContent {
  readonly tensors: ReadonlyMap<string, TensorData>;
  /** Everything else that a run needs to go on: counters, positions in the data, seeds. */
  readonly state: JsonValue;
}

/** Which checkpoints stay after a new one is safe. */
export interface KeepRule {
  /** The newest so many, the one just written included; at least 1. */
  readonly newest: number;
  /** Also every step that is a multiple of this; null for none. */
  readonly period?: number | null;
  /** Also these steps: the best. */
  readonly also?: readonly number[];
}

/**
 * Writes a checkpoint: the tensors under a name that nothing uses yet, then a manifest with their SHA-256 in one atomic
 * write, and only then removes what `keep` does not ask for. Killed at any moment, the folder holds the previous
 * checkpoint or the new one, whole.
 * @returns the manifest's name in the store.
 */
export async function saveCheckpoint(
  store: FileStore,
  step: number,
  content: CheckpointContent,
  keep: KeepRule = { newest: 2 },
): Promise<string> {
  if (!Number.isSafeInteger(step) || step < 0)
    throw new RangeError(`A checkpoint's step is a whole number, 0 or more: ${step}`);
  const manifest = manifestName(step);
  const nonce = crypto.getRandomValues(new Uint32Array(1))[0]!.toString(16).padStart(8, '0');
  const file = manifest.replace(/json$/, `${nonce}.safetensors`);

  const hash = createSha256();
  let bytes = 0;
  async function* hashed(): AsyncGenerator<Uint8Array> {
    for await (const chunk of encodeSafetensors(content.tensors)) {
      hash.update(chunk);
      bytes += chunk.length;
      yield chunk;
    }
  }
  await store.write(file, hashed());
  try {
    const tensors = { file, bytes, sha256: hash.hex() };
    await store.write(
      manifest,
      formatManifest({ format: 'lapidary-checkpoint-1', step, tensors, state: content.state }),
    );
  } catch (error) {
    await store.remove(file).catch(() => undefined);
    throw error;
  }
  await pruneCheckpoints(store, step, keep);
  return manifest;
}

/** Steps of the checkpoints that have a manifest, newest first. Whether they are whole is not looked at. */
export async function listCheckpoints(store: FileStore): Promise<readonly number[]> {
  const steps = (await store.list(`${checkpointFolder}/`)).map(({ name }) => stepOfManifest(name));
  return steps.filter((step) => step !== null).sort((a, b) => b - a);
}

/** Removes a checkpoint that cannot be gone on from; no error if there is none of this step. */
export async function removeCheckpoint(store: FileStore, step: number): Promise<void> {
  await store.remove(manifestName(step));
  await removeUnused(store, await listCheckpoints(store));
}

/**
 * Removes the checkpoints that `keep` does not ask for, and those of steps after `saved`.
 * Manifests go first: tensors without one are rubbish, a manifest without tensors would be a broken checkpoint.
 */
export async function pruneCheckpoints(
  store: FileStore,
  saved: number,
  { newest, period = null, also = [] }: KeepRule,
): Promise<void> {
  const steps = await listCheckpoints(store);
  // Steps above the saved one belong to a run that was resumed from before them.
  const kept = steps.filter((step) => step <= saved).slice(0, Math.max(1, newest));
  const stays = (step: number) =>
    kept.includes(step) || also.includes(step) || (period !== null && step <= saved && step % period === 0);
  for (const step of steps) if (!stays(step)) await store.remove(manifestName(step));
  await removeUnused(store, steps.filter(stays));
}

/** Removes tensors that belong to none of these checkpoints. */
async function removeUnused(store: FileStore, steps: readonly number[]): Promise<void> {
  const used = new Set<string>();
  for (const step of steps) {
    const manifest = parseManifest(await readText(store, manifestName(step)));
    // What a damaged manifest refers to is unknown: leave everything for a person to look at.
    if ('reason' in manifest) return;
    used.add(manifest.tensors.file);
  }
  for (const { name } of await store.list(`${checkpointFolder}/`)) {
    if (name.endsWith('.safetensors') && !used.has(name)) await store.remove(name);
  }
}
