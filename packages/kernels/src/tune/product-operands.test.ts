import { expect, it } from 'vitest';
import type { MatmulProduct } from '../matmul/matmul-product.js';
import { measurable } from './product-operands.js';

const product: MatmulProduct = {
  m: 512,
  n: 2048,
  k: 640,
  batch: 1,
  transposeA: false,
  transposeB: true,
  dtype: 'bf16',
};

it.each([
  ['what fits stays as it is', {}, {}],
  ['a vocabulary is cut to a part', { n: 262_144 }, { n: 32_768 }],
  ['the longer side of a large result', { m: 65_536, n: 8192 }, { m: 4096, n: 4096 }],
  ['batches before sides', { m: 4096, n: 4096, batch: 8 }, { m: 4096, n: 4096, batch: 1 }],
  ['a long K of what is small is not cut', { m: 8, n: 8, k: 2 ** 24 }, null],
] as [string, Partial<MatmulProduct>, Partial<MatmulProduct> | null][])('%s', (_, large, cut) => {
  expect(measurable({ ...product, ...large })).toEqual(cut && { ...product, ...large, ...cut });
});
