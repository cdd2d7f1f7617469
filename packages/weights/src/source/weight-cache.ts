import { WeightSourceError } from '../errors.js';
import { fileIn, folderIn, foldersIn, privateRoot, readJsonIn, removeIn, writeWhole } from './opfs.js';
import { sha256OfText } from './sha256.js';

// lapidary-weights/<model>/model.json           the model's name
//                          listing.json         what the hub said of its files
//                          <file>/file.json     which version of which file this is
//                                 0, 1, 2, …    its pieces; one that has its full size is whole
//                                 verified.json written once all of them had the SHA-256 that the hub states

/** Bytes of a piece of a file. A download that breaks off loses at most the pieces that were on their way. */
export const defaultPieceBytes = 8 * 2 ** 20;

const rootName = 'lapidary-weights';
const piecePattern = /^\d+$/;

/** One version of one file. */
export interface FileRecord {
  readonly file: string;
  /** What says that two files of this name have the same bytes: a SHA-256, a commit, an ETag. */
  readonly version: string;
  /** Bytes. */
  readonly size: number;
  readonly pieceBytes: number;
}

/** The pieces of a file that are kept. */
export interface PieceStore {
  has(index: number): Promise<boolean>;
  /** undefined where the piece is not there, or not whole. */
  read(index: number): Promise<Uint8Array | undefined>;
  /** @throws `QuotaExceededError` and others: the piece is then not kept. */
  write(index: number, bytes: Uint8Array): Promise<void>;
  /** Whether all pieces together had the SHA-256 that the hub states. */
  isVerified(): Promise<boolean>;
  setVerified(verified: boolean): Promise<void>;
  /** Removes all pieces. False where something could not be removed, because another tab is writing it. */
  clear(): Promise<boolean>;
}

/** What is kept of one model. */
export interface ModelCache {
  readListing(): Promise<unknown>;
  writeListing(listing: unknown): Promise<void>;
  /** The pieces of a file. What is kept of its other versions is removed. */
  openFile(record: FileRecord): Promise<PieceStore>;
  /** The version of a file that was read last; undefined where none was. */
  lastRecord(file: string): Promise<FileRecord | undefined>;
}

/** @throws where there is no private file system, or no room in it. */
export async function openModelCache(name: string): Promise<ModelCache> {
  const root = await (await privateRoot()).getDirectoryHandle(rootName, { create: true });
  const folder = await root.getDirectoryHandle(folderName(name), { create: true });
  if ((await readJsonIn(folder, 'model.json')) === undefined) {
    await writeWhole(folder, 'model.json', JSON.stringify({ name }));
  }
  return {
    readListing: () => readJsonIn(folder, 'listing.json'),
    writeListing: (listing) => writeWhole(folder, 'listing.json', JSON.stringify(listing)),
    async openFile(record) {
      const own = fileFolderName(record);
      for (const { name, record: other } of await recordsIn(folder)) {
        if (other.file === record.file && name !== own) await removeIn(folder, name);
      }
      const pieces = await folder.getDirectoryHandle(own, { create: true });
      if (!isRecord(await readJsonIn(pieces, 'file.json'))) {
        await writeWhole(pieces, 'file.json', JSON.stringify(record));
      }
      return pieceStore(pieces, record);
    },
    lastRecord: async (file) => (await recordsIn(folder)).find(({ record }) => record.file === file)?.record,
  };
}

export function pieceLength({ size, pieceBytes }: FileRecord, index: number): number {
  return Math.min(pieceBytes, size - index * pieceBytes);
}

function pieceStore(folder: FileSystemDirectoryHandle, record: FileRecord): PieceStore {
  const find = async (index: number) => {
    const file = await fileIn(folder, String(index));
    return file?.size === pieceLength(record, index) ? file : undefined;
  };
  return {
    has: async (index) => (await find(index)) !== undefined,
    async read(index) {
      const file = await find(index);
      // It may be replaced or removed by another tab between the two.
      return file?.arrayBuffer().then(
        (buffer) => new Uint8Array(buffer),
        () => undefined,
      );
    },
    write: (index, bytes) => writeWhole(folder, String(index), bytes),
    isVerified: async () => (await fileIn(folder, 'verified.json')) !== undefined,
    async setVerified(verified) {
      if (verified) await writeWhole(folder, 'verified.json', JSON.stringify({ sha256: record.version }));
      else await removeIn(folder, 'verified.json');
    },
    async clear() {
      const names: string[] = [];
      for await (const name of folder.keys()) if (name !== 'file.json') names.push(name);
      const removed = await Promise.all(names.map((name) => removeIn(folder, name)));
      return removed.every(Boolean);
    },
  };
}

/** A model whose weights are kept, in part or whole, in the browser's private file system. */
export interface CachedWeights {
  /** `owner/name@revision` (behind its hub's address, where that is another than huggingface.co), or a URL. */
  readonly name: string;
  /** Kept. */
  readonly bytes: number;
  /** Of the files that have been opened. */
  readonly totalBytes: number;
  /** Whether all bytes of these files are kept: loading them needs no download. */
  readonly isWhole: boolean;
}

/** What is kept for this page's origin, a line a model. Empty where there is no private file system, as in Node. */
export async function listCachedWeights(): Promise<CachedWeights[]> {
  const found: CachedWeights[] = [];
  for (const { folder, name } of await modelFolders()) {
    if (name === undefined) continue;
    let bytes = 0;
    let totalBytes = 0;
    for (const { folder: pieces, record } of await recordsIn(folder)) {
      totalBytes += record.size;
      for await (const entry of pieces.keys()) {
        if (!piecePattern.test(entry)) continue;
        const size = (await fileIn(pieces, entry))?.size;
        if (size === pieceLength(record, Number(entry))) bytes += size;
      }
    }
    found.push({ name, bytes, totalBytes, isWhole: totalBytes > 0 && bytes === totalBytes });
  }
  return found.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/**
 * Removes what is kept of one model, by its name in `listCachedWeights`, or of all. Does nothing where there is none.
 * @throws {WeightSourceError} where another tab is writing to it.
 */
export async function removeCachedWeights(name?: string): Promise<void> {
  const root = await cacheRoot();
  for (const found of await modelFolders()) {
    if (name !== undefined && found.name !== name) continue;
    if (await removeIn(root!, found.folder.name)) continue;
    throw new WeightSourceError(
      found.name ?? 'a model',
      'its kept weights cannot be removed: another tab is writing them. Close it first.',
    );
  }
}

async function cacheRoot(): Promise<FileSystemDirectoryHandle | undefined> {
  const root = await privateRoot().catch(() => undefined);
  return root && folderIn(root, rootName);
}

async function modelFolders() {
  const root = await cacheRoot();
  const found: { readonly folder: FileSystemDirectoryHandle; readonly name: string | undefined }[] = [];
  for (const folder of root ? await foldersIn(root) : []) {
    const about = (await readJsonIn(folder, 'model.json')) as { name?: unknown } | undefined;
    // Without a name where a tab was closed in its first moment.
    found.push({ folder, name: typeof about?.name === 'string' ? about.name : undefined });
  }
  return found;
}

async function recordsIn(folder: FileSystemDirectoryHandle) {
  const found: { readonly name: string; readonly folder: FileSystemDirectoryHandle; readonly record: FileRecord }[] =
    [];
  for (const pieces of await foldersIn(folder)) {
    const record = await readJsonIn(pieces, 'file.json');
    if (isRecord(record)) found.push({ name: pieces.name, folder: pieces, record });
  }
  return found;
}

function isRecord(value: unknown): value is FileRecord {
  const record = value as Partial<FileRecord> | null | undefined;
  return (
    typeof record?.file === 'string' &&
    typeof record.version === 'string' &&
    Number.isSafeInteger(record.size) &&
    Number.isSafeInteger(record.pieceBytes)
  );
}

/** Short, and legal on every system: the end of the name for people, a hash for uniqueness. */
function folderName(name: string): string {
  const readable = name.replace(/[^\w.-]+/g, '-').slice(-60);
  return `${readable}-${sha256OfText(name).slice(0, 16)}`.replace(/^[.-]+/, '');
}

function fileFolderName({ file, version, size, pieceBytes }: FileRecord): string {
  const readable = file.replace(/[^\w.-]+/g, '-').slice(-60);
  return `${readable}-${sha256OfText(JSON.stringify([file, version, size, pieceBytes])).slice(0, 16)}`.replace(
    /^[.-]+/,
    '',
  );
}
