import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { freemem, totalmem } from 'node:os';
import { decodeText } from '../data/decode-text.js';
import { DatasetError } from '../data/errors.js';
import { fetchImage } from '../data/fetch-image.js';
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
  let bytes: Uint8Array;
  try {
    bytes = await readFile(name);
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    throw new DatasetError({ file: name, message: missing ? 'there is no such file' : (error as Error).message });
  }
  return { text: decodeText(bytes, name), name };
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
  const file = resolve(dirname(dataFile), path);
  try {
    return await readFile(file);
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    throw new DatasetError({ file, message: missing ? 'there is no such picture' : (error as Error).message });
  }
}
