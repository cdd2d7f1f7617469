// The same numbers in every contender, without shipping any: a hash of the position. contenders/torch/values.py has it too.

/** `n` values in (−scale, scale), exact in f32; with `bits` 8 exact in bf16 as well. `scale` is a power of two. */
export function hashed(n: number, seed: number, scale: number, bits = 24): Float32Array<ArrayBuffer> {
  const values = new Float32Array(n);
  const middle = 2 ** bits;
  for (let i = 0; i < n; i++) {
    let x = (Math.imul(i, 0x9e3779b1) + Math.imul(seed, 0x85ebca6b)) | 0;
    x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
    x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
    x = (x ^ (x >>> 16)) >>> (32 - bits);
    values[i] = ((2 * x + 1 - middle) / middle) * scale;
  }
  return values;
}

/** f32 values that bf16 holds exactly, as bf16. */
export function toBf16(values: Float32Array): Uint16Array<ArrayBuffer> {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const halves = new Uint16Array(bits.length);
  for (let i = 0; i < bits.length; i++) halves[i] = bits[i]! >>> 16;
  return halves;
}

/** Tokens of a made-up text, and the ones that follow them. */
export const tokenIds = (n: number, words: number, shift = 0): Int32Array<ArrayBuffer> =>
  Int32Array.from({ length: n }, (_, i) => ((i + shift) * 37) % words);

/** What a large result is compared by: some of its values, evenly spread, and its root mean square. */
export function sample(values: Float32Array, count = 257): number[] {
  let sum = 0;
  for (const v of values) sum += v * v;
  const picked = Array.from({ length: count }, (_, i) => values[Math.floor((i * (values.length - 1)) / (count - 1))]!);
  return [...picked, Math.sqrt(sum / values.length)];
}
