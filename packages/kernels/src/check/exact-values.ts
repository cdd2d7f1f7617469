import { dtypeInfo, type QuantDType } from '../dtype.js';
import { packReference, unpackReference } from '../reference/convert.js';

/** `n` values in [-1, 1), always the same ones for a seed. */
export function noise(n: number, seed: number): Float32Array<ArrayBuffer> {
  let state = seed;
  return Float32Array.from({ length: n }, () => {
    // A linear congruential generator (Numerical Recipes).
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

/** Whole numbers from −3 to 3: their products and sums are exact in f32, in whatever order. */
export const whole = (n: number, seed: number) => noise(n, seed).map((v) => Math.round(v * 3));

/** Values as bf16 holds them, and their bytes. */
export function bf16(values: Float32Array): { values: Float32Array; bytes: Uint8Array } {
  const bits = Uint16Array.from(values, (v) => packReference(v, 'bf16'));
  return { values: Float32Array.from(bits, (b) => unpackReference(b, 'bf16')), bytes: new Uint8Array(bits.buffer) };
}

/** Blocks of random quants. Their scales are powers of two, so that every value is exact in f32. */
export function blocks(dtype: QuantDType, count: number): Uint8Array {
  const { blockBytes, scalesAt } = dtypeInfo[dtype];
  const bytes = Uint8Array.from(noise(blockBytes * count, 5), (v) => Math.floor((v + 1) * 128));
  for (let b = 0; b < count; b++) {
    if (dtype === 'nf4') new DataView(bytes.buffer).setFloat32(b * blockBytes, 0.125, true);
    else for (const at of scalesAt) bytes.set([0x00, 0x30 + at * 2], b * blockBytes + at); // 0.125 and 0.25
  }
  return bytes;
}
