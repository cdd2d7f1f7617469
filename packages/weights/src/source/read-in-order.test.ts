import { describe, expect, it } from 'vitest';
import type { ByteSource } from './byte-source.js';
import { bufferSource } from './byte-source.js';
import { type CachedSourceOptions, cachedSource } from './cached-source.js';
import { readInOrder, type WantedRange } from './read-in-order.js';

const file = Uint8Array.from({ length: 1000 }, (_, i) => (i * 7) % 251);
const pieces = (length: number, from = 0): WantedRange[] =>
  Array.from({ length: Math.ceil((file.length - from) / length) }, (_, i) => ({
    offset: from + i * length,
    length: Math.min(length, file.length - from - i * length),
  }));

/** A file far away: every read waits until the test answers it, and all that wait are seen. */
function farFile(ahead?: number) {
  const waiting: { offset: number; answer: () => void; fail: (error: Error) => void }[] = [];
  const offsets: number[] = [];
  const fetch = (offset: number, length: number, signal?: AbortSignal) =>
    new Promise<Uint8Array>((resolve, reject) => {
      const leave = () => waiting.splice(waiting.indexOf(one), 1);
      const one = {
        offset,
        answer: () => {
          leave();
          resolve(file.slice(offset, offset + length));
        },
        fail: (error: Error) => {
          leave();
          reject(error);
        },
      };
      offsets.push(offset);
      waiting.push(one);
      signal?.addEventListener('abort', () => one.fail(signal.reason as Error));
    });
  const source: ByteSource = { name: 'far', size: file.length, read: fetch, ...(ahead !== undefined && { ahead }) };
  return { source, fetch, waiting, offsets };
}

const settled = () => new Promise((resolve) => setTimeout(resolve, 0));

describe('from far away', () => {
  it('as many ranges are on their way as the source says, handed out in order whichever comes first', async () => {
    const { source, waiting, offsets } = farFile(5);
    const reader = readInOrder(source, pieces(100), { window: 100 });
    const first = reader.next();
    await settled();
    expect(waiting.map(({ offset }) => offset)).toEqual([0, 100, 200, 300, 400, 500]);
    // The others come before the first: nothing is asked for instead of them, since nobody has used one yet.
    for (const late of waiting.slice(1).reverse()) late.answer();
    await settled();
    expect(offsets).toHaveLength(6);
    waiting[0]!.answer();
    const read = [await first];
    for (let i = 1; i < 10; i++) {
      const next = reader.next();
      await settled();
      expect(waiting.length).toBeLessThanOrEqual(6);
      for (const one of [...waiting].reverse()) one.answer();
      read.push(await next);
    }
    expect(read.flatMap((bytes) => [...bytes])).toEqual([...file]);
    expect(offsets).toHaveLength(10);
    await expect(reader.next()).rejects.toThrow(RangeError);
    await reader.close();
  });

  it('takes as many turns as there are ranges divided by those at a time', async () => {
    const turns = async (ahead: number) => {
      const { source, waiting } = farFile(ahead);
      const reader = readInOrder(source, pieces(50), { window: 50 });
      let count = 0;
      const answering = (async () => {
        for (let i = 0; i < 20; i++) await reader.next();
      })();
      for (; await Promise.race([answering.then(() => false), settled().then(() => true)]); count += 1)
        for (const one of [...waiting]) one.answer();
      return count;
    };
    const [one, six] = [await turns(0), await turns(5)];
    expect(one / six).toBeGreaterThan(3);
  });

  it('an error is told where its range would be, and nothing is left on its way', async () => {
    const { source, waiting } = farFile(5);
    const reader = readInOrder(source, pieces(100), { window: 100 });
    const first = reader.next();
    await settled();
    waiting[1]!.fail(new Error('broken off'));
    for (const one of [...waiting]) one.answer();
    expect([...(await first)]).toEqual([...file.subarray(0, 100)]);
    await expect(reader.next()).rejects.toThrow('broken off');
    await settled();
    await reader.close();
    expect(waiting).toHaveLength(0);
  });

  it('ends with the reason of its signal', async () => {
    const stop = new AbortController();
    const { source, waiting } = farFile(5);
    const reader = readInOrder(source, pieces(100), { window: 100, signal: stop.signal });
    const first = reader.next();
    stop.abort(new Error('no more'));
    await expect(first).rejects.toThrow('no more');
    expect(waiting).toHaveLength(0);
    await reader.close();
  });

  it('through a cache six pieces are on their way, each fetched and kept once', async () => {
    const { fetch, waiting, offsets } = farFile();
    const kept = new Map<number, Uint8Array>();
    const store = {
      has: async (index: number) => kept.has(index),
      read: async (index: number) => kept.get(index),
      write: async (index: number, bytes: Uint8Array) => void kept.set(index, bytes.slice()),
      isVerified: async () => false,
      setVerified: async () => undefined,
      clear: async () => true,
    } satisfies CachedSourceOptions['store'];
    const source = await cachedSource({ name: 'kept', size: file.length, pieceBytes: 100, store, fetch });
    // Reads that do not begin where pieces do.
    const reader = readInOrder(source, pieces(130, 20), { window: 130 });
    const read: number[] = [];
    let most = 0;
    for (const _ of pieces(130, 20)) {
      const next = reader.next();
      let isThere = false;
      void next.then(() => (isThere = true));
      while (!isThere) {
        await settled();
        most = Math.max(most, waiting.length);
        waiting.at(-1)?.answer();
      }
      read.push(...(await next));
    }
    await reader.close();
    await source.close?.();
    expect(read).toEqual([...file.subarray(20)]);
    expect(most).toBe(6);
    expect(offsets.sort((a, b) => a - b)).toEqual(pieces(100).map(({ offset }) => offset));
    expect(kept.size).toBe(10);
  });
});

it('neighbours are read together, into memory that is used again', async () => {
  const buffer = bufferSource('near', file);
  const reads: WantedRange[] = [];
  const memories = new Set<ArrayBufferLike>();
  const source: ByteSource = {
    ...buffer,
    ahead: 1,
    async readInto(offset, target) {
      reads.push({ offset, length: target.length });
      memories.add(target.buffer);
      target.set(file.subarray(offset, offset + target.length));
    },
  };
  const ranges = [
    [0, 10],
    [10, 30],
    [40, 60],
    [100, 5],
    [200, 50],
    [250, 150],
    [400, 7],
  ].map(([offset, length]) => ({ offset, length }) as WantedRange);
  const reader = readInOrder(source, ranges, { window: 100 });
  for (const { offset, length } of ranges)
    expect([...(await reader.next())]).toEqual([...file.subarray(offset, offset + length)]);
  expect(reads).toEqual([
    { offset: 0, length: 100 },
    { offset: 100, length: 5 },
    { offset: 200, length: 50 },
    { offset: 250, length: 150 },
    { offset: 400, length: 7 },
  ]);
  expect(memories.size).toBeLessThanOrEqual(3);
  await reader.close();
});
