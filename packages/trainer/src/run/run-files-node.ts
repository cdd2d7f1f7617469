import { dirname, resolve } from 'node:path';
import { freemem, totalmem } from 'node:os';
import type { ByteSource } from '@lapidary/weights';
import { fileSource } from '@lapidary/weights/node';
import { decodeText, largestText } from '../data/decode-text.js';
import { DatasetError } from '../data/errors.js';
import { fetchImage, largestImage } from '../data/fetch-image.js';
import { createNodeFileStore, removeUnfinishedFiles } from '../store/file-store-node.js';
import type { FileStore } from '../store/file-store.js';
import type { MachineMemory } from './machine-memory.js';

/** The store of a run's output folder. */
export async function openRunStore(outDir: string): Promise<FileStore> {
  await removeUnfinishedFiles(outDir);
  return createNodeFileStore(outDir);
}

/** The text of a data file. @throws DatasetError */
export async function openRunData(source: unknown): Promise<{ text: string; name: string }> {
  if (source instanceof Blob) {
    const name = (source as { name?: string }).name ?? 'data';
    return { text: decodeText(new Uint8Array(await source.arrayBuffer()), name), name };
  }
  const name = String(source);
  return { text: decodeText(await readFile(name, { what: 'file', most: largestText }), name), name };
}

/** What this process may take: the machine's memory, or its container's. */
export function machineMemory(): MachineMemory | null {
  const limit = process.constrainedMemory();
  const total = limit > 0 ? Math.min(limit, totalmem()) : totalmem();
  // `availableMemory` came with Node 20.13.
  const { availableMemory = freemem } = process as { availableMemory?: () => number };
  return { total, free: Math.min(availableMemory(), total) };
}

/** The bytes of a picture that a row of `dataFile` names: a path from that file's folder, or a URL. @throws DatasetError */
export async function openRunImage(path: string, dataFile: string): Promise<Uint8Array> {
  if (/^(https?|data):/.test(path)) return fetchImage(path);
  return readFile(resolve(dirname(dataFile), path), { what: 'picture', most: largestImage });
}

/** The whole of a regular file. @throws DatasetError */
async function readFile(file: string, { what, most }: { what: string; most: number }): Promise<Uint8Array> {
  let source: ByteSource | undefined;
  try {
    source = await fileSource(file);
    const { size } = source;
    if (size > most)
      throw new DatasetError({ file, message: `this ${what} has ${size} bytes; at most ${most} are read` });
    return await source.read(0, size);
  } catch (error) {
    if (error instanceof DatasetError) throw error;
    const { message, cause } = error as Error;
    const isMissing = (cause as NodeJS.ErrnoException | undefined)?.code === 'ENOENT';
    throw new DatasetError({ file, message: isMissing ? `there is no such ${what}` : message }, { cause: error });
  } finally {
    await source?.close?.();
  }
}
