import { randomUUID } from 'node:crypto';
import { open, readdir, rm, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { freemem, tmpdir, totalmem } from 'node:os';
import type { ByteSource } from '@lapidary/weights';
import { fileSource } from '@lapidary/weights/node';
import type { Spill } from '../data/byte-store.js';
import type { OpenDataFiles } from '../data/data-files.js';
import { DatasetError } from '../data/errors.js';
import { fetchImage, imageUrlOf, largestImage } from '../data/fetch-image.js';
import { listSplits } from '../data/splits.js';
import { createNodeFileStore, removeUnfinishedFiles } from '../store/file-store-node.js';
import type { FileStore } from '../store/file-store.js';
import type { MachineMemory } from './machine-memory.js';

/** The store of a run's output folder. */
export async function openRunStore(outDir: string): Promise<FileStore> {
  await removeUnfinishedFiles(outDir);
  return createNodeFileStore(outDir);
}

/** Whether two paths are of one folder. */
export function isSamePlace(a: string, b: string): boolean {
  return resolve(a) === resolve(b);
}

/** A file of rows, or the files of a folder; undefined where there is nothing. @throws DatasetError */
export async function openRunFiles(
  path: string,
): Promise<(OpenDataFiles & { readonly isFolder: boolean }) | undefined> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) return undefined;
  if (found.isDirectory()) {
    const open = (file: string) => openFile(join(path, file));
    return { name: path, splits: listSplits(await filesIn(path), path), open, isFolder: true };
  }
  return { name: path, splits: [{ name: 'train', files: [path] }], open: openFile, isFolder: false };
}

/** Folders within each other: deeper than any data set has them. */
const deepest = 4;

/** Paths of all files below a folder, with `/`. */
async function filesIn(folder: string, depth = 0): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  const found = entries.map(async (entry) => {
    if (!entry.isDirectory()) return [entry.name];
    if (depth === deepest || entry.name.startsWith('.')) return [];
    return (await filesIn(join(folder, entry.name), depth + 1)).map((file) => `${entry.name}/${file}`);
  });
  return (await Promise.all(found)).flat();
}

/** @throws DatasetError for what is no regular file */
async function openFile(path: string): Promise<ByteSource> {
  try {
    return await fileSource(path, path);
  } catch (error) {
    throw new DatasetError({ file: path, message: (error as Error).message }, { cause: error });
  }
}

/** What this process may take: the machine's memory, or its container's. */
export function machineMemory(): MachineMemory | null {
  const limit = process.constrainedMemory();
  const total = limit > 0 ? Math.min(limit, totalmem()) : totalmem();
  // `availableMemory` came with Node 20.13.
  const { availableMemory = freemem } = process as { availableMemory?: () => number };
  return { total, free: Math.min(availableMemory(), total) };
}

/** A file in the folder for temporary ones, which has no name as soon as it is open: nothing is left of it, however the process ends. */
export async function openSpill(): Promise<Spill> {
  const path = join(tmpdir(), `lapidary-${randomUUID()}`);
  const named = async <T>(what: Promise<T>): Promise<T> => {
    try {
      return await what;
    } catch (cause) {
      throw new DatasetError(
        {
          file: path,
          message: `rows cannot be kept there (${(cause as Error).message}). Name a folder with more room by TMPDIR.`,
        },
        { cause },
      );
    }
  };
  const file = await named(open(path, 'wx+', 0o600));
  // Where a file that is open cannot be removed it goes when it is closed.
  const remove = () => rm(path, { force: true });
  await remove().catch(() => undefined);
  let size = 0;
  return {
    append: async (bytes) => {
      for (let at = 0; at < bytes.length; ) {
        const { bytesWritten } = await named(file.write(bytes, at, bytes.length - at, size));
        at += bytesWritten;
        size += bytesWritten;
      }
    },
    read: async (offset, length) => {
      const bytes = new Uint8Array(length);
      for (let at = 0; at < length; ) {
        const { bytesRead } = await named(file.read(bytes, at, length - at, offset + at));
        if (bytesRead === 0) throw new DatasetError({ file: path, message: 'rows that were kept there are gone' });
        at += bytesRead;
      }
      return bytes;
    },
    close: async () => {
      await file.close();
      await remove();
    },
  };
}

/**
 * The bytes of a picture that a row of `dataFile` names: a path from that file's folder (of a URL, on that server), or a URL. Data of this
 * machine may name any file of it; others' may not.
 * @throws DatasetError
 */
export async function openRunImage(path: string, dataFile: string): Promise<Uint8Array> {
  const url = imageUrlOf(path, dataFile);
  if (url !== undefined) return fetchImage(url);
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
