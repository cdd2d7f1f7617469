import type { DType } from '@lapidary/kernels';
import { dtypeOf, openSafetensors, WeightDTypeError, type ByteSource, type JsonValue } from '@lapidary/weights';
import { CheckpointCorruptError, StoredFileMissingError } from '../errors/errors.js';
import { manifestName, parseManifest, type CheckpointManifest } from './checkpoint-manifest.js';
import { readText, type FileStore } from './file-store.js';
import { listCheckpoints } from './save-checkpoint.js';
import { createSha256 } from './sha256.js';

/** A checkpoint that was not used, and why. */
export interface RejectedCheckpoint {
  readonly file: string;
  readonly reason: string;
}

/** A tensor of a checkpoint; its bytes (little-endian, row-major) are read when asked for. */
export interface CheckpointTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly byteLength: number;
  read(): Promise<Uint8Array>;
}

/** A checkpoint whose files are whole. */
export interface LoadedCheckpoint {
  /** Optimizer steps done. */
  readonly step: number;
  readonly manifest: string;
  readonly tensors: ReadonlyMap<string, CheckpointTensor>;
  readonly state: JsonValue;
  /** Newer checkpoints that are damaged: tell the user that these were passed over. */
  readonly rejected: readonly RejectedCheckpoint[];
}

/** Which checkpoint is wanted, and what makes it one. */
export interface LoadCheckpointOptions {
  /** Of this step, or before it. Default: the newest. */
  readonly atMost?: number | undefined;
  /** Why a checkpoint whose files are whole cannot be used all the same; null where it can. Default: each can. */
  readonly reject?: (found: Pick<LoadedCheckpoint, 'step' | 'tensors' | 'state'>) => Promise<string | null>;
}

/**
 * The newest checkpoint whose files have the hashes they should; null where there is none at all.
 * @throws CheckpointCorruptError when there are checkpoints but none can be used: starting again in silence would lose them.
 */
export async function loadLatestCheckpoint(
  store: FileStore,
  { atMost = Number.POSITIVE_INFINITY, reject }: LoadCheckpointOptions = {},
): Promise<LoadedCheckpoint | null> {
  const rejected: RejectedCheckpoint[] = [];
  for (const step of await listCheckpoints(store)) {
    if (step > atMost) continue;
    const file = manifestName(step);
    const manifest = parseManifest(await readText(store, file));
    if ('reason' in manifest) {
      rejected.push({ file, reason: manifest.reason });
      continue;
    }
    const damage = await findDamage(store, manifest);
    if (damage !== null) {
      rejected.push(damage);
      continue;
    }
    const tensors = await openTensors(store, manifest.tensors);
    const { state } = manifest;
    const reason = (await reject?.({ step: manifest.step, tensors, state })) ?? null;
    if (reason === null) return { step: manifest.step, manifest: file, tensors, state, rejected };
    rejected.push({ file, reason });
  }
  if (rejected.length > 0) throw new CheckpointCorruptError({ location: store.location, rejected });
  return null;
}

/**
 * How far the newest checkpoint is, and what it knows beside its tensors: from its manifest alone, whose own hash is checked.
 * Null where there is none that is whole.
 */
export async function readCheckpointState(
  store: FileStore,
  { atMost = Number.POSITIVE_INFINITY }: Pick<LoadCheckpointOptions, 'atMost'> = {},
): Promise<Pick<LoadedCheckpoint, 'step' | 'state' | 'manifest'> | null> {
  for (const step of await listCheckpoints(store)) {
    if (step > atMost) continue;
    const file = manifestName(step);
    const manifest = parseManifest(await readText(store, file));
    if (!('reason' in manifest)) return { step: manifest.step, state: manifest.state, manifest: file };
  }
  return null;
}

async function openTensors(
  store: FileStore,
  { file, bytes }: CheckpointManifest['tensors'],
): Promise<ReadonlyMap<string, CheckpointTensor>> {
  const source: ByteSource = {
    name: file,
    size: bytes,
    read: (offset, length) => store.read(file, { start: offset, end: offset + length }),
  };
  const { tensors } = await openSafetensors(source);
  return new Map(
    [...tensors].map(([name, { type, shape, offset, byteLength }]) => {
      const dtype = dtypeOf(type);
      if (dtype === undefined)
        throw new WeightDTypeError(
          { file, tensor: name, dtype: type },
          `is stored as ${type}, as no checkpoint has it.`,
        );
      return [name, { dtype, shape, byteLength, read: () => source.read(offset, byteLength) }];
    }),
  );
}

async function findDamage(
  store: FileStore,
  { tensors: { file, bytes, sha256 } }: CheckpointManifest,
): Promise<RejectedCheckpoint | null> {
  const hash = createSha256();
  let found = 0;
  try {
    for await (const chunk of store.readChunks(file)) {
      hash.update(chunk);
      found += chunk.length;
    }
  } catch (error) {
    if (error instanceof StoredFileMissingError) return { file, reason: 'is missing' };
    throw error;
  }
  if (found !== bytes) return { file, reason: `has ${found} bytes instead of ${bytes}` };
  return hash.hex() === sha256 ? null : { file, reason: 'does not have the SHA-256 of when it was written' };
}
