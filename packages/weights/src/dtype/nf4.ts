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

/** Halfway between two neighbours, f32: what lies there has the lower code. */
const bounds = Float32Array.from({ length: 15 }, (_, i) => Math.fround(nf4Values[i]! + nf4Values[i + 1]!) / 2);

/** The code of a value between −1 and 1. */
export function nf4Code(value: number): number {
  let code = value > bounds[7]! ? 8 : 0;
  if (value > bounds[code + 3]!) code += 4;
  if (value > bounds[code + 1]!) code += 2;
  return value > bounds[code]! ? code + 1 : code;
}
