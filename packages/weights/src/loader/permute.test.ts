import { expect, it } from 'vitest';
import { bufferSource } from '../source/byte-source.js';
import type { LocatedWeight } from './locate.js';
import { permuted } from './permute.js';

const product = (sizes: readonly number[]) => sizes.reduce((a, b) => a * b, 1);

/** Index by index, from the definition. */
function plainly(values: Float32Array, shape: readonly number[], axes: readonly number[]): Float32Array {
  const out = axes.map((axis) => shape[axis]!);
  const strides = shape.map((_, axis) => product(shape.slice(axis + 1)));
  return Float32Array.from(values, (_, at) => {
    let rest = at;
    let source = 0;
    for (let i = out.length - 1; i >= 0; i--) {
      source += (rest % out[i]!) * strides[axes[i]!]!;
      rest = Math.floor(rest / out[i]!);
    }
    return values[source]!;
  });
}

it.each([
  { shape: [7, 12], axes: [1, 0] },
  { shape: [40, 70], axes: [1, 0] },
  { shape: [3, 8, 5], axes: [0, 2, 1] },
  { shape: [6, 4, 10], axes: [1, 2, 0] },
  { shape: [3, 4, 10], axes: [2, 0, 1] },
  { shape: [4, 5, 3, 6], axes: [3, 2, 0, 1] },
  { shape: [1, 6, 4], axes: [0, 2, 1] },
])('$shape in the order $axes, whole and in strips, in pieces of any size', async ({ shape, axes }) => {
  const values = Float32Array.from({ length: product(shape) }, (_, i) => i + 0.5);
  const stored = {
    name: 'x',
    type: 'F32',
    shape,
    source: bufferSource('f', new Uint8Array(16 + values.byteLength)),
    offset: 16,
    byteLength: values.byteLength,
  };
  const file = new Uint8Array(16 + values.byteLength);
  file.set(new Uint8Array(values.buffer), 16);
  const weight: LocatedWeight = {
    path: 'x',
    stored,
    storedDType: 'f32',
    offset: 0,
    permute: axes,
    entry: { shape, dtype: 'f32', sourceName: 'x', file: 'f' },
  };
  for (const chunkBytes of [4, 64, 1 << 20]) {
    for (const stripBytes of [1, 300, 1 << 20]) {
      const parts: Uint8Array[] = [];
      for await (const { bytes } of permuted(weight, bufferSource('f', file), { to: 'f32', chunkBytes, stripBytes }))
        parts.push(bytes);
      expect(new Float32Array(Uint8Array.from(parts.flatMap((part) => [...part])).buffer)).toEqual(
        plainly(values, shape, axes),
      );
      if (stripBytes === 1 && axes[0] !== 0 && shape[axes[0]!]! > 2) expect(parts.length).toBeGreaterThan(1);
    }
  }
});
