import { bufferSource, fetchBytes } from '@lapidary/weights';
import type { Spill } from '../data/byte-store.js';
import { mayBeHubDataset, type OpenDataFiles } from '../data/data-files.js';
import { largestText } from '../data/decode-text.js';
import { DatasetError } from '../data/errors.js';
import { fetchImage, imageUrlOf } from '../data/fetch-image.js';
import type { FileStore } from '../store/file-store.js';
import { openOpfsStore } from '../store/opfs-store.js';
import type { MachineMemory } from './machine-memory.js';

/** The store of a run's output folder: a folder of the page's private file system. */
export function openRunStore(outDir: string): Promise<FileStore> {
  return openOpfsStore(outDir);
}

/** Whether two names are of one folder: only runs are kept in a page's private file system. */
export function isSamePlace(_adapter: string, _outDir: string): boolean {
  return false;
}

/** A file of rows at a path from the page's address; undefined for a name of the hub's form, such as `owner/name`. @throws DatasetError */
export async function openRunFiles(
  path: string,
): Promise<(OpenDataFiles & { readonly isFolder: boolean }) | undefined> {
  if (mayBeHubDataset(path)) return undefined;
  const open = async () => {
    const bytes = await fetchBytes(new URL(path, globalThis.location.href).href, {}, largestText);
    if (bytes === undefined)
      throw new DatasetError({ file: path, message: 'there is no such file: the server answers 404' });
    return bufferSource(path, bytes);
  };
  return { name: path, splits: [{ name: 'train', files: [path] }], open, isFolder: false };
}

/** A page is not told how much memory there is. */
export function machineMemory(): MachineMemory | null {
  return null;
}

/** Blobs, which browsers keep on disk where they are large. */
export async function openSpill(): Promise<Spill> {
  const parts: { readonly from: number; readonly blob: Blob }[] = [];
  let size = 0;
  return {
    append: async (bytes) => {
      parts.push({ from: size, blob: new Blob([bytes.slice()]) });
      size += bytes.length;
    },
    read: async (offset, length) => {
      const wanted = parts.flatMap(({ from, blob }) => {
        const [start, end] = [Math.max(0, offset - from), Math.min(blob.size, offset + length - from)];
        return start < end ? [blob.slice(start, end)] : [];
      });
      return new Uint8Array(await new Blob(wanted).arrayBuffer());
    },
    close: async () => {
      parts.length = 0;
    },
  };
}

/** The bytes of a picture that a row of `dataFile` names: a URL, from the data's if that is one. @throws DatasetError */
export async function openRunImage(path: string, dataFile: string): Promise<Uint8Array> {
  const file = URL.canParse(dataFile) ? dataFile : new URL(dataFile, globalThis.location.href).href;
  const url = imageUrlOf(path, file);
  if (url === undefined)
    throw new DatasetError({ file, message: `the picture '${path}' is no URL, nor a path from one` });
  return fetchImage(url);
}
