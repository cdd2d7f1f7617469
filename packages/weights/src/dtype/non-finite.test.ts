import { type DType, dtypeInfo, isQuantised } from '@lapidary/kernels/dtype';
import { expect, test } from 'vitest';
import { encodeFloats } from './convert.js';
import { dequantise } from './dequantise.js';
import { holdsNonFinite } from './non-finite.js';

const largest = { f32: 3.4028234663852886e38, f16: 65504, bf16: 3.3895313892515355e38 };

test.each(['f32', 'f16', 'bf16'] as const)('%s: NaN and both infinities, at any place; nothing else', (dtype) => {
  const finite = [0, -0, 1, largest[dtype], -largest[dtype], 1e-40, -1e-40];
  expect(holdsNonFinite(dtype, encodeFloats(Float32Array.from(finite), dtype))).toBe(false);
  expect(holdsNonFinite(dtype, new Uint8Array())).toBe(false);
  for (const bad of [NaN, Infinity, -Infinity])
    for (let at = 0; at <= finite.length; at++) {
      const bytes = encodeFloats(Float32Array.from(finite.toSpliced(at, 0, bad)), dtype);
      expect(holdsNonFinite(dtype, bytes), `${bad} at ${at}`).toBe(true);
      // A piece of a file begins where it may.
      const moved = new Uint8Array(bytes.length + 1);
      moved.set(bytes, 1);
      expect(holdsNonFinite(dtype, moved.subarray(1))).toBe(true);
    }
});

test('nf4: its scale alone', () => {
  for (const [at, value] of [
    [0, Number.NaN],
    [36, Infinity],
  ] as const) {
    const bytes = new Uint8Array(72).fill(0xff);
    for (const block of [0, 36]) new DataView(bytes.buffer).setFloat32(block, largest.f32, true);
    expect(holdsNonFinite('nf4', bytes)).toBe(false);
    new DataView(bytes.buffer).setFloat32(at, value, true);
    expect(holdsNonFinite('nf4', bytes)).toBe(true);
  }
});

test.each((Object.keys(dtypeInfo) as DType[]).filter((dtype) => isQuantised(dtype) && dtype !== 'nf4'))(
  '%s: each place that makes a value which is not finite, and no other',
  (dtype) => {
    const { blockBytes } = dtypeInfo[dtype as DType];
    let places = 0;
    for (let at = 0; at < blockBytes * 2; at++) {
      // All ones but for one bit of the exponent of whatever f16 lies there.
      const bytes = new Uint8Array(blockBytes * 2).fill(0x11);
      bytes[at] = 0xff;
      const isBad = dequantise(dtype, bytes).some((value) => !Number.isFinite(value));
      expect(holdsNonFinite(dtype, bytes), `byte ${at}`).toBe(isBad);
      places += Number(isBad);
    }
    // Of each of two blocks one scale, or a scale and a minimum.
    expect([2, 4]).toContain(places);
  },
);

test('whole numbers are finite, whatever their bits', () => {
  expect(holdsNonFinite('i32', new Uint8Array(8).fill(0xff))).toBe(false);
  expect(holdsNonFinite('u32', new Uint8Array(8).fill(0x7f))).toBe(false);
});
