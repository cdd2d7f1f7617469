import { decodeText } from '../data/decode-text.js';
import { DatasetError } from '../data/errors.js';
import { fetchImage } from '../data/fetch-image.js';
import type { FileStore } from '../store/file-store.js';
import { openOpfsStore } from '../store/opfs-store.js';
import type { MachineMemory } from './machine-memory.js';

/** The store of a run's output folder: a folder of the page's private file system. */
export function openRunStore(outDir: string): Promise<FileStore> {
  return openOpfsStore(outDir);
}

/** The text of a File, or of what lies behind a URL. @throws DatasetError */
export async function openRunData(source: unknown): Promise<{ text: string; name: string }> {
  if (source instanceof Blob) {
    const name = (source as { name?: string }).name ?? 'data';
    return { text: decodeText(new Uint8Array(await source.arrayBuffer()), name), name };
  }
  const name = String(source);
  const response = await fetch(name);
  if (!response.ok) throw new DatasetError({ file: name, message: `the server answered ${response.status}` });
  return { text: decodeText(new Uint8Array(await response.arrayBuffer()), name), name };
}

/** A page is not told how much memory there is. */
export function machineMemory(): MachineMemory | null {
  return null;
}

/** The bytes of a picture that a row of `dataFile` names: a URL, from the data's if that is one. @throws DatasetError */
export function openRunImage(path: string, dataFile: string): Promise<Uint8Array> {
  return fetchImage(new URL(path, new URL(dataFile, globalThis.location.href)).href);
}
