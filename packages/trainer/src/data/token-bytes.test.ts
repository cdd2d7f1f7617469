import { expect, it } from 'vitest';
import { mostTokenBytes, tokensFromBytes, writeTokens } from './token-bytes.js';

it('tokens come back, each with whether it is learned', () => {
  const tokens = Int32Array.of(0, 1, 63, 64, 127, 128, 8191, 8192, 262_143, 262_144, 2 ** 21 - 1, 2 ** 30 - 1);
  for (const of of [() => 0, () => 1, (i: number) => i % 2]) {
    const learned = Uint8Array.from(tokens, (_, i) => of(i));
    const target = new Uint8Array(tokens.length * mostTokenBytes);
    const size = writeTokens(tokens, learned, target);
    expect(tokensFromBytes(target.subarray(0, size), tokens.length)).toEqual({ tokens, learned });
  }
});

it('a token of a vocabulary of 262,144 takes three bytes at most', () => {
  expect(writeTokens(Int32Array.of(262_143), Uint8Array.of(1), new Uint8Array(mostTokenBytes))).toBe(3);
  expect(writeTokens(Int32Array.of(63), Uint8Array.of(1), new Uint8Array(mostTokenBytes))).toBe(1);
});

it.each([
  ['too few', [1, 2], 3],
  ['an end within a token', [1, 0x80], 2],
  ['a token without an end', [0xff, 0xff, 0xff, 0xff, 0xff, 0xff], 1],
])('%s: refused', (_name, bytes, count) => {
  expect(() => tokensFromBytes(Uint8Array.from(bytes), count)).toThrow(RangeError);
});
