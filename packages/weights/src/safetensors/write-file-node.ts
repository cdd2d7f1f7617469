import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { WeightSourceError } from '../errors.js';
import { encodeSafetensors, type TensorData } from './write.js';

/**
 * Writes `path` whole or not at all: into a file beside it, flushed to disk, then renamed.
 * @throws {WeightSourceError} when the disk is full or not writable; nothing is left behind then.
 */
export async function writeFileAtomically(
  path: string,
  pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    const handle = await open(temporary, 'w');
    try {
      for await (const piece of pieces) await handle.writeFile(piece);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    if (error instanceof Error && 'syscall' in error) {
      throw new WeightSourceError(path, `could not be written: ${error.message}`, { cause: error });
    }
    throw error;
  }
  // The new name must outlive a power cut too; Windows cannot open folders and needs no such call.
  const folder = await open(dirname(path), 'r').catch(() => undefined);
  await folder?.sync().catch(() => {});
  await folder?.close();
}

/** A safetensors file, one tensor in memory at a time. */
export function writeSafetensors(
  path: string,
  tensors: ReadonlyMap<string, TensorData>,
  metadata?: Readonly<Record<string, string>>,
): Promise<void> {
  return writeFileAtomically(path, encodeSafetensors(tensors, metadata));
}
