/**
 * What the 4-bit codes of NF4 stand for, beside the largest value of their block: quantiles of a normal distribution (arXiv:2305.14314).
 * Source: https://github.com/bitsandbytes-foundation/bitsandbytes, `backends/utils.py`.
 */
export const nf4Values = Float32Array.of(
  -1.0,
  -0.6961928009986877,
  -0.5250730514526367,
  -0.39491748809814453,
  -0.28444138169288635,
  -0.18477343022823334,
  -0.09105003625154495,
  0.0,
  0.07958029955625534,
  0.16093020141124725,
  0.24611230194568634,
  0.33791524171829224,
  0.44070982933044434,
  0.5626170039176941,
  0.7229568362236023,
  1.0,
);

/** Halfway between two neighbours, f32: what lies there has the lower code. Nothing is above the last. */
const bounds = Float32Array.from({ length: 16 }, (_, i) =>
  i < 15 ? Math.fround(nf4Values[i]! + nf4Values[i + 1]!) / 2 : Infinity,
);

/** By the upper half of a float32's bits: the lowest code of all values that begin so. At most one bound lies among them. */
let lowest: Uint8Array | undefined;
const value = new Float32Array(1);
const bits = new Uint32Array(value.buffer);

function lowestCodes(): Uint8Array {
  return Uint8Array.from({ length: 65536 }, (_, upper) => {
    // Of negative values the lowest has the largest lower half.
    bits[0] = (upper << 16) | (upper & 0x8000 ? 0xffff : 0);
    return bounds.findIndex((bound) => !(value[0]! > bound));
  });
}

/** The code of a float32 between −1 and 1. */
export function nf4Code(scaled: number): number {
  lowest ??= lowestCodes();
  value[0] = scaled;
  const code = lowest[bits[0]! >>> 16]!;
  return code + Number(scaled > bounds[code]!);
}
