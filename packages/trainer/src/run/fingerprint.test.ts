import { expect, test } from 'vitest';
import { mixWords } from '../data/mix-words.js';
import { fingerprintWeights } from './fingerprint.js';

const weights = (): Record<string, Uint8Array> => ({
  first: Uint8Array.from({ length: 4000 }, (_, i) => (i * 7) % 251),
  second: Uint8Array.from({ length: 1998 }, (_, i) => (i * 3) % 253),
});

/** The fingerprint of weights that come in pieces of this size. */
async function fingerprint(all: Record<string, Uint8Array>, piece = 4000, order = Object.keys(all)): Promise<string> {
  const sink = fingerprintWeights({ write: () => undefined });
  for (const path of order)
    for (let at = 0; at < all[path]!.length; at += piece)
      await sink.write(path, at, all[path]!.subarray(at, at + piece));
  return sink.fingerprint();
}

test('the same weights in other pieces, in another order, from another place in memory', async () => {
  const known = await fingerprint(weights());
  expect(known).toMatch(/^4:[0-9a-f]{16}$/);
  for (const piece of [4, 32, 1000, 2000]) expect(await fingerprint(weights(), piece)).toBe(known);
  expect(await fingerprint(weights(), 4000, ['second', 'first'])).toBe(known);
  const moved = Object.fromEntries(
    Object.entries(weights()).map(([path, bytes]) => [path, Uint8Array.of(9, ...bytes).subarray(1)]),
  );
  expect(await fingerprint(moved, 1000)).toBe(known);
});

test('any bit of any byte tells, and so do two that would cancel out', async () => {
  const known = await fingerprint(weights());
  for (const at of [0, 3, 256, 1999, 3999])
    for (const bit of [0, 7]) {
      const changed = weights();
      changed['first']![at]! ^= 1 << bit;
      expect(await fingerprint(changed), `byte ${at}, bit ${bit}`).not.toBe(known);
      // The same bit of another value: signs, say.
      changed['first']![(at + 400) % 4000]! ^= 1 << bit;
      expect(await fingerprint(changed), `bytes ${at} and ${at + 400}, bit ${bit}`).not.toBe(known);
    }
  const { first, second } = weights();
  expect(await fingerprint({ first: second!, second: first! })).not.toBe(known);
});

test('words are mixed as MurmurHash3 mixes them', () => {
  // murmur3_32 of 4 bytes, seed 0, before its last mixing.
  const undo = (hash: number) => hash >>> 0;
  expect(undo(mixWords(Uint32Array.of(0)))).toBe(0xe6546b64);
  expect(mixWords(Uint32Array.of(1, 2))).toBe(mixWords(Uint32Array.of(2), mixWords(Uint32Array.of(1))));
});
