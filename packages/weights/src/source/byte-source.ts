import { WeightFileError } from '../errors.js';

/** A file's bytes, read in pieces: a file on disk, a `File` in a page, a URL. */
export interface ByteSource {
  /** The file's name, for messages and for finding it among others. */
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /** Exactly `length` bytes from `offset` on. The caller may keep and change them. */
  read(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array>;
  /** Reads of a few megabytes that are worth having on their way before they are asked for, where a file is read in order. Default 0. */
  readonly ahead?: number;
  /** Fills `target` with the bytes from `offset` on: for those who read much through the same memory. */
  readInto?(offset: number, target: Uint8Array, signal?: AbortSignal): Promise<void>;
  /**
   * Whether the file's bytes are those its publisher states, once all that is wanted of it was read. What is missing of the
   * file is fetched for that. @throws {WeightFileError} naming both hashes.
   */
  verify?(signal?: AbortSignal): Promise<void>;
  close?(): Promise<void>;
}

/** @throws {WeightFileError} when the range is not within the file. */
export function checkRange(source: { name: string; size: number }, offset: number, length: number): void {
  const valid = Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0;
  if (!valid || offset + length > source.size) {
    throw new WeightFileError(
      { file: source.name, offset },
      `${length} bytes wanted, but the file has ${source.size} bytes. It is truncated or corrupt.`,
    );
  }
}

/** Bytes in memory. */
export function bufferSource(name: string, data: ArrayBuffer | Uint8Array): ByteSource {
  const bytes = data instanceof Uint8Array ? data : new Uint8Array(data);
  const source = {
    name,
    size: bytes.length,
    async read(offset: number, length: number, signal?: AbortSignal) {
      signal?.throwIfAborted();
      checkRange(source, offset, length);
      return bytes.slice(offset, offset + length);
    },
  };
  return source;
}

/** A `Blob`, or a `File` that a user picked; only the pieces asked for are in memory. */
export function blobSource(blob: Blob, name = 'name' in blob ? String(blob.name) : 'blob'): ByteSource {
  const source = {
    name,
    size: blob.size,
    // One is read while the one before it is used.
    ahead: 1,
    async read(offset: number, length: number, signal?: AbortSignal) {
      signal?.throwIfAborted();
      checkRange(source, offset, length);
      return new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer());
    },
    async readInto(offset: number, target: Uint8Array, signal?: AbortSignal) {
      const bytes = await source.read(offset, target.length, signal);
      target.set(bytes);
      free(bytes);
    },
  };
  return source;
}

/** Gives memory back at once: at the speed of a disk, garbage collection falls hundreds of megabytes behind. */
export function free(bytes: Uint8Array): void {
  const buffer = bytes.buffer as ArrayBuffer & { transfer?(length: number): ArrayBuffer };
  buffer.transfer?.(0);
}

/**
 * Reads `window` bytes at once and serves neighbouring small reads from them: a checkpoint has hundreds of norm weights
 * of a few kilobytes, and each read may be a request. Pieces are views: use them before the next read.
 */
export function readAhead(source: ByteSource, window: number): ByteSource {
  let start = 0;
  let held: Uint8Array = new Uint8Array(0);
  let memory: Uint8Array | undefined;
  const fill = async (offset: number, length: number, signal?: AbortSignal) => {
    if (source.readInto === undefined) return source.read(offset, length, signal);
    if (memory === undefined || memory.length < length) memory = new Uint8Array(length);
    const target = memory.subarray(0, length);
    await source.readInto(offset, target, signal);
    return target;
  };
  const reader: ByteSource = {
    name: source.name,
    size: source.size,
    async read(offset, length, signal) {
      checkRange(reader, offset, length);
      if (offset < start || offset + length > start + held.length) {
        held = new Uint8Array(0);
        held = await fill(offset, Math.max(length, Math.min(window, source.size - offset)), signal);
        start = offset;
      }
      signal?.throwIfAborted();
      return held.subarray(offset - start, offset - start + length);
    },
  };
  return reader;
}

/** Files that are read whole: configurations, tokenizers, indices. The largest that there are, tokenizers, have some 35 MB. */
export const largestWhole = 64 * 2 ** 20;

/** The whole of a small file. @throws {WeightFileError} before it is read, for one of more than 64 MiB */
export async function readWhole(source: ByteSource): Promise<Uint8Array> {
  if (source.size > largestWhole)
    throw new WeightFileError(
      { file: source.name },
      `has ${source.size} bytes; at most ${largestWhole} are read of such a file. Is it another file by this name?`,
    );
  return source.read(0, source.size);
}

/** The whole of a small file as UTF-8. @throws {WeightFileError} as `readWhole` does, and for what is no UTF-8 */
export async function readSourceText(source: ByteSource | undefined): Promise<string | undefined> {
  return source && utf8Text(await readWhole(source), source.name);
}

/** @throws {WeightFileError} for bytes that are no UTF-8 */
export function utf8Text(bytes: Uint8Array, file: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new WeightFileError({ file }, 'is no UTF-8 text. Save it as UTF-8, or get it again.', { cause });
  }
}
