import { readFile } from 'node:fs/promises';
import { DatasetError } from '../data/errors.js';
import { createNodeFileStore, removeUnfinishedFiles } from '../store/file-store-node.js';
import type { FileStore } from '../store/file-store.js';

/** The store of a run's output folder. */
export async function openRunStore(outDir: string): Promise<FileStore> {
  await removeUnfinishedFiles(outDir);
  return createNodeFileStore(outDir);
}

/** The text of a data file. @throws DatasetError */
export async function openRunData(source: unknown): Promise<{ text: string; name: string }> {
  if (source instanceof Blob) return { text: await source.text(), name: (source as { name?: string }).name ?? 'data' };
  const name = String(source);
  try {
    return { text: await readFile(name, 'utf8'), name };
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    throw new DatasetError({ file: name, message: missing ? 'there is no such file' : (error as Error).message });
  }
}
