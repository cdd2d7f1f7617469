import { DatasetError } from '../data/errors.js';
import type { FileStore } from '../store/file-store.js';
import { openOpfsStore } from '../store/opfs-store.js';

/** The store of a run's output folder: a folder of the page's private file system. */
export function openRunStore(outDir: string): Promise<FileStore> {
  return openOpfsStore(outDir);
}

/** The text of a File, or of what lies behind a URL. @throws DatasetError */
export async function openRunData(source: unknown): Promise<{ text: string; name: string }> {
  if (source instanceof Blob) return { text: await source.text(), name: (source as { name?: string }).name ?? 'data' };
  const name = String(source);
  const response = await fetch(name);
  if (!response.ok) throw new DatasetError({ file: name, message: `the server answered ${response.status}` });
  return { text: await response.text(), name };
}
