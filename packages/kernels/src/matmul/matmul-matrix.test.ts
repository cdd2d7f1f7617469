import { describe, expect, test as base } from 'vitest';
import { matmul } from './matmul.js';
import { matmulReference } from '../reference/matmul.js';
import { runKernels } from '../run-kernels.js';
import { checkInfinityStays, checkMatmul, checkQuantised, orders } from '../testing/matmul-cases.js';
import { emptyOutput, randomArray, readF32, relativeError, testGpu, upload } from '../testing/test-gpu.js';

// GPUs have subgroup matrices in Node, lavapipe has them from Mesa 26 on. Elsewhere test/subgroup-matrix looks at the shaders.
const test = base.skipIf((await testGpu()).profile.subgroupMatrix === undefined);

const vectors = { m: 72, n: 80, k: 40 };
const odd = { m: 67, n: 69, k: 35 };

describe('as exact as f32', () => {
  const variant = 'matrix64';
  test.each(orders)('A transposed: $transposeA, B transposed: $transposeB', async (order) => {
    await checkMatmul({ ...vectors, ...order, variant });
    await checkMatmul({ ...odd, ...order, variant });
    await checkInfinityStays({ ...vectors, ...order, variant });
  });
  test('a batch, B in bf16', () => checkMatmul({ ...vectors, batch: 3, transposeB: true, dtype: 'bf16', variant }));
  test('B in f16, odd sizes', () => checkMatmul({ ...odd, transposeB: true, dtype: 'f16', variant }));
  test('B in blocks', () => checkQuantised({ dtype: 'q4_k', m: 5, rows: 6, transposeB: true, variant }));
  test('an epilogue', async () => {
    const epilogue = { alpha: 0.37, bias: true, activation: 'gelu', residual: true } as const;
    await checkMatmul({ ...vectors, transposeB: true, variant, ...epilogue }, 1e-6);
  });
  test('K in windows', () => checkMatmul({ m: 24, n: 72, k: 104, limit: 16_384, bias: true, variant }, 1e-6));
  test('tiles of 128', () =>
    checkMatmul({ m: 131, n: 140, k: 40, transposeB: true, dtype: 'bf16', variant: 'matrix128' }));
});

// f16 alone holds 6e-8 to 65504.
test.each([
  ['far beyond f16', 1e7, 1e6, 1],
  ['far below it', 1e-9, 1e-10, 1],
  ['that grow from slice to slice', 1e-6, 1, 30],
  ['that shrink from slice to slice', 1e6, 1, 1 / 30],
  ['of which one matrix undoes the other', 1e33, 1e-33, 1],
])('values %s', async (_, sizeA, sizeB, growth) => {
  const gpu = await testGpu();
  const { m, n, k } = { m: 16, n: 24, k: 136 };
  const grown = (i: number) => growth ** Math.floor((i % k) / 16);
  const a = randomArray(m * k, 1, sizeA).map((v, i) => v * grown(i));
  const b = randomArray(n * k, 2, sizeB).map((v, i) => v * grown(i));
  const out = emptyOutput(gpu, m * n);
  const args = { m, n, k, transposeB: true, variant: 'matrix64' as const };
  await runKernels(gpu, matmul(gpu.profile, { ...args, a: upload(gpu, a), b: upload(gpu, b), out }));
  const expected = matmulReference(a, b, args);
  expect(relativeError(await readF32(gpu, out, m * n), expected)).toBeLessThan(5e-7);
});

test('rows far smaller than those beside them keep digits that count from the largest', async () => {
  const gpu = await testGpu();
  const { m, n, k } = { m: 16, n: 24, k: 40 };
  const a = randomArray(m * k, 1).map((v, i) => v * 2 ** -Math.floor(i / k));
  const b = randomArray(n * k, 2);
  const out = emptyOutput(gpu, m * n);
  const args = { m, n, k, transposeB: true, variant: 'matrix64' as const };
  await runKernels(gpu, matmul(gpu.profile, { ...args, a: upload(gpu, a), b: upload(gpu, b), out }));
  const [found, expected] = [await readF32(gpu, out, m * n), matmulReference(a, b, args)];
  for (let row = 0; row < m; row++) {
    const cut = (x: ArrayLike<number>) => Array.from(x).slice(row * n, (row + 1) * n);
    expect(relativeError(Float32Array.from(cut(found)), cut(expected))).toBeLessThan(1e-6);
  }
});

describe('with values rounded to f16', () => {
  test.each(orders)('A transposed: $transposeA, B transposed: $transposeB', (order) =>
    checkMatmul({ ...odd, ...order, variant: 'half64' }, 5e-4),
  );
  test('B in bf16: nothing is lost but in A', () =>
    checkMatmul({ ...vectors, transposeB: true, dtype: 'bf16', variant: 'half64' }, 3e-4));
  test('tiles of 128', () => checkMatmul({ m: 136, n: 144, k: 40, transposeA: true, variant: 'half128' }, 5e-4));
});
