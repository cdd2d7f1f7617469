import { WeightFileError } from '../errors.js';
import { type ByteSource, checkRange, free } from './byte-source.js';
import { eitherSignal, rangesAhead } from './http.js';
import { createSha256, type Sha256 } from './sha256.js';
import type { PieceStore } from './weight-cache.js';

export interface CachedSourceOptions {
  /** For messages, and for finding the file among others. */
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  readonly pieceBytes: number;
  /** Where pieces are kept; undefined where nothing can be. */
  readonly store: PieceStore | undefined;
  /** Exactly these bytes, from the network. */
  readonly fetch: (offset: number, length: number, signal?: AbortSignal) => Promise<Uint8Array>;
  /** Of the whole file, in lower-case hexadecimal, where it is known. */
  readonly sha256?: string | undefined;
  /** For reads that come without their own. */
  readonly signal?: AbortSignal | undefined;
  /** Called once, when a piece could not be kept; nothing is kept from then on. */
  readonly onWriteFailure?: (error: unknown) => void;
}

/** Pieces in memory that nobody is using, of all files together: the two that a read may lie across, and those ahead. */
const mostIdle = rangesAhead + 2;
/** Pieces that are being written while more arrive. */
const mostWrites = 2;

/** A piece in memory, or on its way there. */
interface PieceState {
  readonly controller: AbortController;
  loaded: Uint8Array | undefined;
  /** Who waits for it or reads it, the write into the cache included. */
  users: number;
}

type Piece = PieceState & { readonly bytes: Promise<Uint8Array> };

/** Pieces that nobody is using, and how to forget each; the one used last comes last. */
const idle = new Map<PieceState, () => void>();

function dropOldest(): void {
  for (const [{ loaded }, forget] of idle) {
    if (idle.size <= mostIdle) return;
    forget();
    if (loaded !== undefined) free(loaded);
  }
}

/**
 * A file that is read through a cache, piece by piece: a piece that is kept is read from there, another is fetched, kept
 * and handed out. At most some ten pieces are in memory. The SHA-256 is computed along the way, as far as pieces are
 * read in their order; `verify` does the rest. Where a file is read from its start to its end, `rangesAhead` pieces are fetched ahead.
 */
export async function cachedSource(options: CachedSourceOptions): Promise<ByteSource> {
  const { name, size, pieceBytes, store, sha256 } = options;
  const pieceCount = Math.ceil(size / pieceBytes);
  const pieces = new Map<number, Piece>();
  const writes = new Set<Promise<void>>();
  /** Pieces of which a part was read by itself. */
  const parts = new Set<number>();
  let canWrite = store !== undefined;
  let last = -1;
  let hash: Sha256 | undefined;
  let hashed = 0;

  const startHash = () => {
    hash = createSha256();
    hashed = 0;
  };
  if (sha256 !== undefined && !(await store?.isVerified())) startHash();

  function hashInOrder(index: number, bytes: Uint8Array): void {
    if (hash === undefined || index !== hashed) return;
    hash.update(bytes);
    hashed++;
  }

  function keep(index: number, piece: PieceState, bytes: Uint8Array): void {
    if (store === undefined || !canWrite) return;
    take(piece);
    const write = store
      .write(index, bytes)
      .catch((error: unknown) => {
        if (canWrite) options.onWriteFailure?.(error);
        canWrite = false;
      })
      .finally(() => {
        writes.delete(write);
        release(index, piece);
      });
    writes.add(write);
  }

  async function load(index: number, piece: PieceState): Promise<Uint8Array> {
    const kept = await store?.read(index);
    if (kept !== undefined) return kept;
    if (sha256 !== undefined && hash === undefined) {
      // It was verified, yet is no longer whole: what comes now has to be verified again.
      startHash();
      await store?.setVerified(false);
    }
    while (writes.size >= mostWrites) await Promise.race(writes);
    piece.controller.signal.throwIfAborted();
    const offset = index * pieceBytes;
    const bytes = await options.fetch(offset, Math.min(pieceBytes, size - offset), piece.controller.signal);
    keep(index, piece, bytes);
    return bytes;
  }

  function start(index: number): Piece {
    const state: PieceState = { controller: new AbortController(), loaded: undefined, users: 0 };
    const bytes = load(index, state).then(
      (loaded) => (state.loaded = loaded),
      (error: unknown) => {
        forget(index, state);
        throw error;
      },
    );
    // Whoever still waits is told.
    bytes.catch(() => undefined);
    const piece = Object.assign(state, { bytes });
    pieces.set(index, piece);
    return piece;
  }

  function take(piece: PieceState): void {
    piece.users++;
    idle.delete(piece);
  }

  /** Nobody waits for a piece any more: one that is not there yet is given up, another stays for a while. */
  function release(index: number, piece: PieceState): void {
    if (--piece.users > 0 || pieces.get(index) !== piece) return;
    if (piece.loaded === undefined) {
      cancel(index, piece);
      return;
    }
    idle.set(piece, () => forget(index, piece));
    dropOldest();
  }

  function forget(index: number, piece: PieceState): void {
    idle.delete(piece);
    if (pieces.get(index) === piece) pieces.delete(index);
  }

  function cancel(index: number, piece: PieceState): void {
    forget(index, piece);
    piece.controller.abort();
  }

  /** Does something with a piece, which is fetched once however many ask for it, and given up when nobody waits for it any more. */
  async function withPiece(
    index: number,
    signal: AbortSignal | undefined,
    use: (bytes: Uint8Array) => void,
  ): Promise<void> {
    const piece = pieces.get(index) ?? start(index);
    take(piece);
    try {
      use(await orAborted(piece.bytes, signal));
    } finally {
      release(index, piece);
    }
  }

  function fetchAhead(from: number, signal: AbortSignal | undefined): void {
    for (let index = from; index < Math.min(from + rangesAhead, pieceCount); index++) {
      // A failure is told to whoever asks for the piece.
      if (!pieces.has(index)) withPiece(index, signal, () => {}).catch(() => undefined);
    }
  }

  /**
   * Headers that lie scattered over the file (an npz has one before each array) are not worth a piece each before it is
   * known whether the model will be loaded.
   */
  async function isScattered(index: number, length: number): Promise<boolean> {
    if (length > pieceBytes / 16 || index === 0 || index === last || index === last + 1) return false;
    return !pieces.has(index) && !(await store?.has(index));
  }

  const flushed = async () => {
    while (writes.size > 0) await Promise.all(writes);
  };

  async function readInto(offset: number, target: Uint8Array, given?: AbortSignal): Promise<void> {
    const signal = eitherSignal(given, options.signal);
    signal?.throwIfAborted();
    const { length } = target;
    checkRange(source, offset, length);
    if (length === 0) return;
    const first = Math.floor(offset / pieceBytes);
    const end = Math.floor((offset + length - 1) / pieceBytes);
    if (first === end && (await isScattered(first, length))) {
      parts.add(first);
      target.set(await options.fetch(offset, length, signal));
      return;
    }
    const isInOrder = length >= pieceBytes || (last >= 0 && first === last + 1) || end > first;
    for (let index = first; index <= end; index++) {
      const done = withPiece(index, signal, (bytes) => {
        hashInOrder(index, bytes);
        const from = Math.max(offset, index * pieceBytes);
        const to = Math.min(offset + length, (index + 1) * pieceBytes);
        target.set(bytes.subarray(from - index * pieceBytes, to - index * pieceBytes), from - offset);
      });
      if (isInOrder) fetchAhead(index + 1, signal);
      await done;
    }
    last = end;
  }

  async function verify(signal = options.signal): Promise<void> {
    // So that the next load finds all it needs.
    for (const index of canWrite ? parts : []) {
      if (!(await store?.has(index))) await withPiece(index, signal, () => {});
    }
    parts.clear();
    while (hash !== undefined && hashed < pieceCount) {
      const index = hashed;
      const done = withPiece(index, signal, (bytes) => hashInOrder(index, bytes));
      fetchAhead(index + 1, signal);
      await done;
    }
    await flushed();
    if (hash === undefined) return;
    const found = hash.hex();
    hash = undefined;
    if (found === sha256) {
      if (canWrite) await store?.setVerified(true).catch(() => undefined);
      return;
    }
    for (const [index, piece] of pieces) forget(index, piece);
    startHash();
    const isCleared = await store?.clear();
    throw new WeightFileError(
      { file: name },
      `its bytes have the SHA-256 ${found}, but the hub states ${sha256}. ` +
        (isCleared === false
          ? 'The copy kept in this browser could not be removed: close other tabs of this page, call removeCachedWeights() and try again.'
          : 'The copy kept in this browser was removed: try again.'),
    );
  }

  const source: ByteSource = {
    name,
    size,
    async read(offset, length, signal) {
      checkRange(source, offset, length);
      const bytes = new Uint8Array(length);
      await readInto(offset, bytes, signal);
      return bytes;
    },
    readInto,
    verify,
    async close() {
      for (const [index, piece] of pieces) if (piece.loaded === undefined) cancel(index, piece);
      await flushed();
      for (const [index, piece] of pieces) forget(index, piece);
    },
  };
  return source;
}

/** What the promise brings, or the signal's reason as soon as it aborts. */
function orAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    if (signal.aborted) return stop();
    signal.addEventListener('abort', stop, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}
