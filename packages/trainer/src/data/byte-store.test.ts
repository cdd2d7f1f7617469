import { openSpill } from '#run-files';
import { expect, it } from 'vitest';
import { ByteStore, type Spill } from './byte-store.js';

const neverOpened = (): Promise<Spill> => Promise.reject(new Error('this store opens no spill'));

/** Records of 0 to 299 bytes, each of its own number. */
const records = Array.from({ length: 500 }, (_, i) => new Uint8Array((i * 7919) % 300).fill(i));

async function fill(store: ByteStore): Promise<number[]> {
  const places: number[] = [];
  for (const [i, record] of records.entries()) {
    places.push(store.append(record));
    if (i % 10 === 0) await store.drain();
  }
  return places;
}

it.each([
  ['in memory', 4096, 100],
  ['spilled, all but the end', 4096, 0],
  ['spilled late', 1000, 30],
  ['records longer than a piece', 64, 2],
])('%s: gives back what was put there, in any order', async (_name, pieceBytes, pieces) => {
  const store = new ByteStore(openSpill, { pieceBytes, pieces });
  const places = await fill(store);
  expect(store.size).toBe(records.reduce((sum, { length }) => sum + length, 0));
  for (let i = 0; i < records.length; i++) {
    const at = (i * 337) % records.length;
    expect([...(await store.read(places[at]!, records[at]!.length))]).toEqual([...records[at]!]);
  }
  // Over the border of memory and spill, too.
  const all = await store.read(0, store.size);
  expect([...all]).toEqual(records.flatMap((record) => [...record]));
  await store.close();
});

it('opens no spill for what fits into memory, and can be read when it is closed', async () => {
  const store = new ByteStore(neverOpened, { pieceBytes: 2 ** 20, pieces: 1 });
  await fill(store);
  await store.close();
  expect([...(await store.read(0, 0))]).toEqual([]);
  expect((await store.read(store.size - 3, 3)).length).toBe(3);
});

it.each([
  [-1, 1],
  [0, -1],
  [5, 6],
  [11, 0],
  [Number.NaN, 1],
])('refuses bytes that were not put there: %d, %d', async (at, length) => {
  const store = new ByteStore(neverOpened);
  store.append(new Uint8Array(10));
  await expect(store.read(at, length)).rejects.toThrow(RangeError);
});

it('what cannot be kept is told, not lost', async () => {
  const store = new ByteStore(neverOpened, { pieceBytes: 16, pieces: 1 });
  store.append(new Uint8Array(100));
  await expect(store.drain()).rejects.toThrow('opens no spill');
});
