import type { HostRows } from '@lapidary/gemma/model';
import { holdsNonFinite } from '../dtype/non-finite.js';
import { WeightFileError } from '../errors.js';
import { bytesOf, type LocatedWeight } from './locate.js';

/** How rows are read. */
export interface HostRowsOptions {
  /** Bytes of rows that are kept in memory for when they are asked for again, those used last. Default 64 MiB. */
  readonly cacheBytes?: number;
  /** Rows at most so many bytes apart come in one read: over a network less than another request costs. Default 64 KiB. */
  readonly gapBytes?: number;
}

/** Most bytes of one read. */
const mostBytes = 2 ** 20;
/** Reads at the same time: what a browser has connections for, and more. */
const mostReads = 8;

/** Neighbouring rows that are read at once, first and last. */
interface Run {
  readonly first: number;
  last: number;
}

/**
 * Rows of a matrix in a file, see `HostRows`. What is asked for at the same time is read one after the other, so that memory is bounded
 * and what several ask for is read once.
 * @throws WeightFileError for a matrix that does not lie row by row as it is stored
 */
export function openHostRows(weight: LocatedWeight, options: HostRowsOptions = {}): HostRows {
  const { path, stored, storedDType: dtype, permute, offset } = weight;
  const { cacheBytes = 64 * 2 ** 20, gapBytes = 2 ** 16 } = options;
  const { source } = stored;
  const where = { file: source.name, tensor: stored.name };
  const [rows = 0, width = 0] = weight.entry.shape;
  if (permute !== undefined || offset !== 0 || stored.shape.length !== 2)
    throw new WeightFileError(where, `its rows are not stored as ${path} has them, so that none can be read alone.`);
  const rowBytes = bytesOf([width], dtype);
  const cache = new RowCache(Math.floor(cacheBytes / Math.max(1, rowBytes)));
  let turn: Promise<unknown> = Promise.resolve();

  async function read(ids: Int32Array, signal?: AbortSignal): Promise<Uint8Array> {
    const all = new Uint8Array(ids.length * rowBytes);
    /** Where in `all` each row goes that is not at hand. */
    const missing = new Map<number, number[]>();
    ids.forEach((id, place) => {
      const kept = missing.has(id) ? undefined : cache.get(id);
      if (kept !== undefined) {
        all.set(kept, place * rowBytes);
        return;
      }
      const places = missing.get(id);
      if (places === undefined) missing.set(id, [place]);
      else places.push(place);
    });
    const waiting = runsOf([...missing.keys()].sort((a, b) => a - b)).values();
    const readSome = async () => {
      for (const { first, last } of waiting) {
        signal?.throwIfAborted();
        const length = (last + 1 - first) * rowBytes;
        const bytes = await source.read(stored.offset + first * rowBytes, length, signal);
        for (let id = first; id <= last; id++) {
          const places = missing.get(id);
          if (places === undefined) continue;
          const row = bytes.slice((id - first) * rowBytes, (id + 1 - first) * rowBytes);
          checkFinite(id, row);
          for (const place of places) all.set(row, place * rowBytes);
          cache.set(id, row);
        }
      }
    };
    await Promise.all(Array.from({ length: mostReads }, readSome));
    return all;
  }

  function runsOf(ids: readonly number[]): Run[] {
    const runs: Run[] = [];
    for (const id of ids) {
      const run = runs.at(-1);
      const isNear = run !== undefined && (id - run.last - 1) * rowBytes <= gapBytes;
      if (isNear && (id + 1 - run.first) * rowBytes <= mostBytes) run.last = id;
      else runs.push({ first: id, last: id });
    }
    return runs;
  }

  function checkFinite(id: number, row: Uint8Array): void {
    if (!holdsNonFinite(dtype, row)) return;
    throw new WeightFileError(
      where,
      `row ${id} holds values that are not finite (NaN or infinity). The model cannot compute with them: get the file again, or from somebody whose conversion did not go wrong.`,
    );
  }

  return {
    path,
    dtype,
    rows,
    width,
    read: async (ids, signal) => {
      const outside = ids.find((id) => !(id >= 0 && id < rows));
      if (outside !== undefined)
        throw new WeightFileError(
          where,
          `has no row ${outside}: there are ${rows}, from 0. Is the tokenizer the model's?`,
        );
      const done = turn.then(() => read(ids, signal));
      turn = done.catch(() => undefined);
      return done;
    },
  };
}

/** The rows used last, by id. */
class RowCache {
  readonly #rows = new Map<number, Uint8Array>();
  readonly #most: number;

  constructor(most: number) {
    this.#most = most;
  }

  get(id: number): Uint8Array | undefined {
    const row = this.#rows.get(id);
    if (row !== undefined) this.#use(id, row);
    return row;
  }

  set(id: number, row: Uint8Array): void {
    this.#use(id, row);
    for (const oldest of this.#rows.keys()) {
      if (this.#rows.size <= this.#most) return;
      this.#rows.delete(oldest);
    }
  }

  #use(id: number, row: Uint8Array): void {
    this.#rows.delete(id);
    this.#rows.set(id, row);
  }
}
