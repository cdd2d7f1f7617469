import { StoreNameError } from '../errors/errors.js';

/** What a file is written from: its bytes, or pieces of them made one at a time. */
export type FileContent = Uint8Array | string | Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

/** Bytes `start` (included) to `end` (excluded). */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** A file of a store. */
export interface StoredFile {
  /** Relative to the store, parts joined with '/'. */
  readonly name: string;
  readonly bytes: number;
}

/**
 * A folder that files are kept in: a directory on disk, a browser's private file system, or memory. Names are relative
 * paths with '/'. Every method rejects with a typed error: StoreNameError, StoredFileMissingError,
 * StoreAccessError, DiskFullError.
 */
export interface FileStore {
  /** Where this is, for messages. */
  readonly location: string;
  /**
   * Writes a file so that at any moment, also after a crash or a power cut, the name holds either what it held before or
   * all of the new content. On failure nothing of the new content is left.
   */
  write(name: string, content: FileContent): Promise<void>;
  /** Adds to the end of a file, which need not exist. Not atomic: a crash may leave part of `content`. */
  append(name: string, content: Uint8Array | string): Promise<void>;
  read(name: string, range?: ByteRange): Promise<Uint8Array>;
  /** The file in pieces of bounded size, for files that do not fit in memory. */
  readChunks(name: string): AsyncIterable<Uint8Array>;
  /** Finished files whose name starts with `prefix`, sorted by name. */
  list(prefix?: string): Promise<readonly StoredFile[]>;
  /** Removes a file; no error if it is not there. */
  remove(name: string): Promise<void>;
  /** Moves a file over `to`, replacing what is there. */
  rename(from: string, to: string): Promise<void>;
  /** Takes the store for one run, until what is returned is called; left out by stores that nobody else can see. @throws RunInUseError */
  lock?(): Promise<() => Promise<void>>;
}

/** Unfinished files end like this; `list` does not show them. */
export const unfinishedSuffix = '.unfinished';

/** @throws StoreNameError unless `name` stays inside the store on every platform. */
export function checkStoreName(name: string): string {
  const parts = name.split('/');
  const isBad = parts.some((part) => part === '' || part === '.' || part === '..') || /[\\:\0]/.test(name);
  if (isBad) throw new StoreNameError({ fileName: name });
  return name;
}

/** Any kind of content as pieces of bytes. */
export async function* toChunks(content: FileContent): AsyncGenerator<Uint8Array> {
  if (typeof content === 'string') yield new TextEncoder().encode(content);
  else if (content instanceof Uint8Array) yield content;
  else yield* content;
}

/** Reads a file that holds text. */
export async function readText(store: FileStore, name: string): Promise<string> {
  return new TextDecoder().decode(await store.read(name));
}
