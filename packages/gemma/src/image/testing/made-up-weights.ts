export interface MadeUpTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly scale: number;
}

/** The weights that make_mask_decoder.py makes up. */
export function madeUpWeights(tensors: readonly MadeUpTensor[]): Record<string, Float32Array> {
  return Object.fromEntries(
    tensors.map(({ name, shape, scale }, i) => {
      const length = shape.reduce((a, b) => a * b, 1);
      return [name, Float32Array.from({ length }, (_, at) => hashed(1000 * i + 7, at) * scale)];
    }),
  );
}

/** Uniform in [−0.5, 0.5). */
function hashed(seed: number, at: number): number {
  let x = (Math.imul(at, 0x9e3779b1) + seed) | 0;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return ((x ^ (x >>> 16)) >>> 0) / 2 ** 32 - 0.5;
}
