import { baselineProfile } from '@lapidary/gpu';
import { describe, expect, test } from 'vitest';
import { quantDTypes } from '../dtype.js';
import { matmul } from './matmul.js';
import { matmulReference } from '../reference/matmul.js';
import { runKernels } from '../run-kernels.js';
import { ggufBlocks } from '../testing/gguf-blocks.js';
import { checkInfinityStays, checkMatmul, checkQuantised, orders, type MatmulCase } from '../testing/matmul-cases.js';
import { randomCases } from '../testing/random-cases.js';
import { emptyOutput, randomArray, readF32, relativeError, testGpu, upload, uploadBytes } from '../testing/test-gpu.js';
import { bindingFaults, withBindingLimit } from '../testing/tiny-profile.js';
import { hasQuads } from '../variants.js';

const epilogues: Partial<MatmulCase>[] = [
  { bias: true },
  { bias: true, activation: 'gelu' },
  { alpha: 0.37, bias: true, activation: 'silu', residual: true },
  { alpha: -2, residual: true, accumulate: true },
];

describe.each(orders)('A transposed: $transposeA, B transposed: $transposeB', (order) => {
  test.each([
    { m: 1, n: 1, k: 1 },
    { m: 13, n: 11, k: 7 },
    { m: 16, n: 24, k: 32 },
    { m: 12, n: 40, k: 136 },
    { m: 37, n: 29, k: 257 },
    { m: 12, n: 8, k: 5 },
    { m: 131, n: 197, k: 19 },
  ])('$m × $n × $k', (shape) => checkMatmul({ ...shape, ...order }));

  test('a batch', () => checkMatmul({ m: 9, n: 10, k: 11, batch: 3, ...order }));
});

describe('shapes drawn at random', () => {
  test.each(
    randomCases(6, 1, ({ int, pick }): MatmulCase => {
      // Half of the sizes are such as allow vector loads.
      const size = () => pick([int(1, 40), 8 * int(1, 5)]);
      return { m: size(), n: size(), k: size(), batch: pick([1, 1, 3]), dtype: pick(['f32', 'bf16']), ...pick(orders) };
    }),
  )('%s', (_, c) => checkMatmul(c));
});

describe('results that get the largest tiles of a device', () => {
  const large = { m: 136, n: 144, k: 24 };
  test.each([
    { transposeA: true },
    { transposeB: true, dtype: 'bf16' },
    { dtype: 'f16' },
    { transposeB: true, bias: true, activation: 'gelu', residual: true },
  ] as const)('%o', (c) => checkMatmul({ ...large, ...c }, 1e-6));
});

describe('K shared out among workgroups', () => {
  const variant = 'split';
  test.each(orders)('A transposed: $transposeA, B transposed: $transposeB', async (order) => {
    await checkMatmul({ m: 72, n: 80, k: 1032, ...order, variant });
    await checkMatmul({ m: 67, n: 69, k: 1027, ...order, variant });
    await checkInfinityStays({ m: 24, n: 72, k: 600, ...order, variant });
  });
  test('B in bf16', () => checkMatmul({ m: 20, n: 136, k: 1200, transposeB: true, dtype: 'bf16', variant }));
  // The tile is that of `workgroup64`, which reads the other types below: what is new is that a part begins at a block, of 32 or 256.
  test.each(['q5_0', 'q5_1', 'q2_k', 'q4_k', 'q6_k', 'iq4_xs'] as const)('B in %s', (dtype) =>
    checkQuantised({ dtype, m: 5, rows: 2, transposeB: true, times: 7, variant }),
  );
  test.each(['q4_0', 'q3_k'] as const)('B in %s, not transposed', (dtype) =>
    checkQuantised({ dtype, m: 5, rows: 600, transposeB: false, times: 100, variant }),
  );
  test.each(epilogues)('%o', async (epilogue) => {
    await checkMatmul({ m: 20, n: 24, k: 520, transposeB: true, variant, ...epilogue }, 1e-6);
    await checkMatmul({ m: 20, n: 23, k: 523, transposeB: true, variant, ...epilogue }, 1e-6);
  });
  test('in windows of K', () => checkMatmul({ m: 24, n: 24, k: 1536, limit: 65_536, bias: true, variant }, 1e-6));
  test('no part of it is too small: a short K is in one', () => checkMatmul({ m: 20, n: 24, k: 5, variant }));
  test('takes one product, and memory for the sums', () => {
    const x = { buffer: 0, offset: 0, dtype: 'f32' as const };
    const args = { a: x, b: x, out: x, m: 24, n: 24, k: 512, variant } as const;
    expect(() => matmul(baselineProfile, args)).toThrow(/needs a workspace/);
    expect(() => matmul(baselineProfile, { ...args, batch: 2, workspace: () => x })).toThrow(/not a batch/);
  });
});

describe('one row that is normalised first', () => {
  const row = { m: 1, transposeB: true };
  test.each([undefined, 'plain', 'sliced'] as const)('variant %s', async (variant) => {
    const forced = variant && { variant };
    await checkMatmul({ ...row, n: 40, k: 640, norm: 'f32', dtype: 'bf16', ...forced });
    await checkMatmul({ ...row, n: 31, k: 1032, norm: 'bf16', ...forced });
    await checkMatmul({ ...row, n: 33, k: 37, norm: 'bf16', dtype: 'f16', ...forced });
  });
  test('an activation; gains in f16, an odd K', () =>
    checkMatmul({ ...row, n: 33, k: 301, norm: 'f16', alpha: 0.5, activation: 'gelu' }, 1e-6));
  test('added to what is there', () => checkMatmul({ ...row, n: 24, k: 64, norm: 'f32', accumulate: true }, 1e-6));
  test('in windows of B', () => checkMatmul({ ...row, n: 160, k: 64, norm: 'f32', limit: 16_384 }));
  test.each([
    { m: 2 },
    { transposeB: false },
    { transposeA: true },
    { batch: 2 },
    { bias: true },
    { residual: true },
    { variant: 'workgroup64' },
  ] as Partial<MatmulCase>[])('nothing else: %o', async (other) => {
    await expect(checkMatmul({ ...row, n: 8, k: 8, norm: 'f32', ...other })).rejects.toThrow(/only a single row/);
  });
  test('by no weight in blocks', () => {
    const x = { buffer: 0, offset: 0, dtype: 'f32' as const };
    const norm = { weight: { ...x, dtype: 'q8_0' as const }, eps: 0, weightOffset: 0 };
    expect(() => matmul(baselineProfile, { ...row, a: x, b: x, out: x, n: 8, k: 32, norm })).toThrow(/not q8_0/);
  });
});

describe('few rows', () => {
  test.each([1, 2, 4, 5])('%i × 31 × 64', (m) => checkMatmul({ m, n: 31, k: 64, transposeB: true }));
});

describe.each(['bf16', 'f16'] as const)('B in %s', (dtype) => {
  test.each([
    { m: 9, n: 16, k: 24, transposeB: true },
    { m: 9, n: 24, k: 16, transposeB: false },
    { m: 3, n: 13, k: 9, transposeB: true },
  ])('$m × $n × $k, transposed: $transposeB', (c) => checkMatmul({ ...c, dtype }));
});

describe.each(quantDTypes)('B in %s', (dtype) => {
  // Six rows as written, or two rows three times as long.
  test.each([
    { rows: 6, transposeB: true, firstRow: 0 },
    { rows: 2, transposeB: true, firstRow: 0 },
    { rows: 6, transposeB: false, firstRow: 0 },
    { rows: 5, transposeB: true, firstRow: 1 },
  ])('$rows rows from $firstRow on, transposed: $transposeB', (c) => checkQuantised({ dtype, m: 5, ...c }));
});

describe('epilogues', () => {
  test.each(epilogues)('%o', async (epilogue) => {
    await checkMatmul({ m: 9, n: 16, k: 24, transposeB: true, ...epilogue }, 1e-6);
    await checkMatmul({ m: 9, n: 15, k: 7, transposeB: true, ...epilogue }, 1e-6);
  });
});

describe('windows', () => {
  const everything = { bias: true, activation: 'gelu', residual: true } as const;
  test.each([
    { name: 'rows of A and C', m: 400, n: 8, k: 8, transposeB: true, limit: 4096 },
    { name: 'rows of B, as columns of C', m: 3, n: 400, k: 16, transposeB: true, limit: 8192 },
    { name: 'rows of B in bf16, an odd length', m: 3, n: 400, k: 13, transposeB: true, dtype: 'bf16', limit: 6144 },
    { name: 'K, where B is not transposed', m: 4, n: 24, k: 300, transposeB: false, limit: 8192 },
    { name: 'K, where A is transposed', m: 24, n: 5, k: 300, transposeA: true, transposeB: false, limit: 8192 },
    { name: 'K and columns', m: 20, n: 300, k: 300, transposeA: true, transposeB: false, limit: 32_768 },
  ] as (MatmulCase & { name: string })[])('$name', async ({ name: _, ...c }) => {
    await checkMatmul({ ...c, ...everything }, 1e-6);
  });

  test('K in parts, added to what is there', () =>
    checkMatmul({ m: 4, n: 24, k: 300, limit: 8192, alpha: 0.5, bias: true, residual: true, accumulate: true }, 1e-6));

  test('a batch beyond a binding, matrix by matrix', () => checkMatmul({ m: 16, n: 8, k: 16, batch: 5, limit: 2048 }));

  test('a product in parts cannot be activated and then added', async () => {
    await expect(
      checkMatmul({ m: 4, n: 24, k: 300, limit: 8192, activation: 'gelu', accumulate: true }),
    ).rejects.toThrow(/use two steps/);
  });

  test('quantised rows', async () => {
    const gpu = await testGpu();
    const blocks = await ggufBlocks('q4_0');
    // The six blocks over and over, each a row.
    const n = 300;
    const bytes = new Uint8Array(n * 18);
    for (let row = 0; row < n; row++) bytes.set(blocks.bytes.subarray((row % 6) * 18, (row % 6) * 18 + 18), row * 18);
    const values = Float32Array.from({ length: n * 32 }, (_, i) => blocks.values[i % (6 * 32)]!);
    const a = randomArray(3 * 32, 1);
    const out = emptyOutput(gpu, 3 * n);
    const args = { a: upload(gpu, a), b: uploadBytes(gpu, bytes, 'q4_0'), out, m: 3, n, k: 32, transposeB: true };
    const calls = matmul(withBindingLimit(gpu.profile, 4096), args);
    expect(calls.length).toBeGreaterThan(1);
    expect(bindingFaults(calls, 4096)).toEqual([]);
    await runKernels(gpu, calls);
    const expected = matmulReference(a, values, { m: 3, n, k: 32, transposeB: true });
    expect(relativeError(await readF32(gpu, out, 3 * n), expected)).toBeLessThan(5e-7);
  });
});

test('odd rows of quantised weights are refused', async () => {
  const gpu = await testGpu();
  const x = upload(gpu, new Float32Array(64));
  const args = { a: x, b: { ...x, dtype: 'q8_0' as const }, out: x, m: 1, n: 1, k: 33, transposeB: true };
  expect(() => matmul(gpu.profile, args)).toThrow(RangeError);
});

// The variants of GPUs, on every device. Sizes: whole vectors and odd ones, more than one tile, ends inside a tile and inside a step
// of K. Few, since software adapters take seconds to compile some.
describe.each([
  {
    variant: 'workgroup64',
    vectors: { m: 72, n: 80, k: 40 },
    odd: { m: 67, n: 69, k: 35 },
    blocks: ['q4_0', 'q4_1', 'q8_0', 'q5_k', 'q3_k', 'iq4_nl'],
  },
  {
    variant: 'sliced',
    vectors: { m: 8, n: 24, k: 264 },
    odd: { m: 7, n: 13, k: 261 },
    blocks: ['q5_0', 'q5_1', 'q2_k', 'q4_k', 'q6_k', 'iq4_xs'],
  },
] as const)('$variant', ({ variant, vectors, odd, blocks }) => {
  test.each(orders)('A transposed: $transposeA, B transposed: $transposeB', async (order) => {
    await checkMatmul({ ...vectors, ...order, variant });
    await checkMatmul({ ...odd, ...order, variant });
    await checkInfinityStays({ ...vectors, ...order, variant });
  });
  test('one row, a batch', () => checkMatmul({ ...vectors, m: 1, batch: 3, transposeB: true, variant }));
  test('B in bf16', () => checkMatmul({ ...vectors, transposeB: true, dtype: 'bf16', variant }));
  test('B in f16, odd sizes', () => checkMatmul({ ...odd, transposeB: true, dtype: 'f16', variant }));
  test.each(blocks)('B in %s', (dtype) => checkQuantised({ dtype, m: 5, rows: 6, transposeB: true, variant }));
  test('B in blocks, not transposed', () =>
    checkQuantised({ dtype: 'q8_0', m: 5, rows: 6, transposeB: false, variant }));
  test.each(epilogues.slice(1))('%o', (epilogue) =>
    checkMatmul({ ...vectors, transposeB: true, variant, ...epilogue }, 1e-6),
  );
  test('K in windows', () => checkMatmul({ m: 24, n: 72, k: 104, limit: 16_384, bias: true, variant }, 1e-6));
});

describe.skipIf((await testGpu()).profile.subgroupSize.max !== 8)('subgroup32', () => {
  const variant = 'subgroup32';
  test.each(orders)('A transposed: $transposeA, B transposed: $transposeB', async (order) => {
    await checkMatmul({ m: 24, n: 40, k: 24, ...order, variant });
    await checkInfinityStays({ m: 24, n: 40, k: 24, ...order, variant });
  });
  test('odd sizes, B in bf16, a batch', () =>
    checkMatmul({
      m: 37,
      n: 69,
      k: 19,
      batch: 3,
      transposeB: true,
      dtype: 'bf16',
      bias: true,
      residual: true,
      variant,
    }));
  test('B in blocks', () => checkQuantised({ dtype: 'q4_k', m: 5, rows: 6, transposeB: true, variant }));
  test('K in windows', () => checkMatmul({ m: 24, n: 72, k: 104, limit: 16_384, bias: true, variant }, 1e-6));
});

// On SwiftShader: lavapipe takes half a minute to compile some.
describe.skipIf(!hasQuads((await testGpu()).profile))('quad', () => {
  const variant = 'quad';
  test.each(orders)('A transposed: $transposeA, B transposed: $transposeB', async (order) => {
    await checkMatmul({ m: 40, n: 72, k: 24, ...order, variant });
    await checkInfinityStays({ m: 40, n: 72, k: 24, ...order, variant });
  });
  test('odd sizes, B in bf16, a batch', () =>
    checkMatmul({ m: 37, n: 69, k: 19, batch: 3, transposeB: true, dtype: 'bf16', bias: true, variant }));
  test('B in blocks', () => checkQuantised({ dtype: 'q4_k', m: 5, rows: 6, transposeB: true, variant }));
  test('an epilogue', () => checkMatmul({ m: 40, n: 72, k: 24, transposeB: true, variant, ...epilogues[2] }, 1e-6));
  test('K in windows', () => checkMatmul({ m: 24, n: 72, k: 104, limit: 16_384, bias: true, variant }, 1e-6));
});

// For these the other tests of this file are SwiftShader's, or those of the smaller tile.
test.each([
  { variant: 'plain', m: 13, n: 24, k: 32, transposeB: true },
  { variant: 'workgroup128', m: 136, n: 144, k: 24, transposeB: true },
  { variant: 'workgroup128', m: 136, n: 144, k: 24, transposeA: true },
  { variant: 'workgroup128', m: 131, n: 197, k: 19, transposeB: true, dtype: 'bf16' },
  { variant: 'workgroup128', m: 131, n: 197, k: 19, transposeA: true, batch: 2 },
] as MatmulCase[])('%o', (c) => checkMatmul(c));
