import type { ByteSource } from './byte-source.js';

/** A range of a file. */
export interface WantedRange {
  readonly offset: number;
  readonly length: number;
}

/** Ranges of a file, one after the other. */
export interface OrderedReader {
  /** The bytes of the next range; valid until the one after it is asked for. @throws what the source does; RangeError after the last */
  next(): Promise<Uint8Array>;
  /** Gives up what is on its way, and waits until nothing is. */
  close(): Promise<void>;
}

/** Ranges that are read as one. */
interface Batch extends WantedRange {
  readonly lengths: readonly number[];
}

interface Reading extends Batch {
  readonly memory: Uint8Array | undefined;
  readonly bytes: Promise<Uint8Array>;
}

/**
 * Reads ranges, given in their order, in batches of at most `window` bytes (a longer range is one of its own), so many before they are
 * asked for as `source.ahead` says. No more than that and the batch in use are in memory. Neighbours go together: a checkpoint has
 * hundreds of norms of a few kilobytes, and each read may be a request.
 */
export function readInOrder(
  source: ByteSource,
  ranges: readonly WantedRange[],
  { window, signal }: { readonly window: number; readonly signal?: AbortSignal | undefined },
): OrderedReader {
  const stop = new AbortController();
  const until = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal;
  const batches = batchesOf(ranges, window);
  const most = 1 + (source.ahead ?? 0);
  const readings: Reading[] = [];
  const spare: Uint8Array[] = [];
  let started = 0;
  /** Ranges of the first reading that were handed out, and where in it they end. */
  let [taken, at] = [0, 0];

  function start(batch: Batch): void {
    const { offset, length } = batch;
    const { readInto } = source;
    const memory = readInto && (spare.pop() ?? new Uint8Array(Math.max(window, length)));
    const target = memory && memory.length >= length ? memory.subarray(0, length) : new Uint8Array(length);
    const bytes = readInto ? readInto(offset, target, until).then(() => target) : source.read(offset, length, until);
    // Told to whoever asks for it.
    bytes.catch(() => undefined);
    readings.push({ ...batch, memory, bytes });
  }

  return {
    async next() {
      signal?.throwIfAborted();
      if (readings[0] !== undefined && taken === readings[0].lengths.length) {
        const { memory } = readings.shift() as Reading;
        if (memory) spare.push(memory);
        [taken, at] = [0, 0];
      }
      while (readings.length < most && started < batches.length) start(batches[started++] as Batch);
      const [first] = readings;
      if (first === undefined) throw new RangeError('all ranges have been read');
      const bytes = await first.bytes;
      signal?.throwIfAborted();
      const length = first.lengths[taken++] as number;
      at += length;
      return bytes.subarray(at - length, at);
    },
    async close() {
      stop.abort();
      await Promise.allSettled(readings.map(({ bytes }) => bytes));
    },
  };
}

function batchesOf(ranges: readonly WantedRange[], window: number): Batch[] {
  const batches: { offset: number; length: number; lengths: number[] }[] = [];
  for (const { offset, length } of ranges) {
    const last = batches.at(-1);
    if (last !== undefined && last.offset + last.length === offset && last.length + length <= window) {
      last.length += length;
      last.lengths.push(length);
    } else batches.push({ offset, length, lengths: [length] });
  }
  return batches;
}
