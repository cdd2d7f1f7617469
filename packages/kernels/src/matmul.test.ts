import { describe, expect, test } from 'vitest';
import type { DType, QuantDType } from './dtype.js';
import { matmul, type MatmulArgs } from './matmul.js';
import { geluReference } from './reference/geglu.js';
import { matmulReference } from './reference/matmul.js';
import { runKernels } from './run-kernels.js';
import { ggufBlocks } from './testing/gguf-blocks.js';
import { randomStored } from './testing/half-floats.js';
import { randomCases } from './testing/random-cases.js';
import { emptyOutput, randomArray, readF32, relativeError, testGpu, upload, uploadBytes } from './testing/test-gpu.js';
import { bindingFaults, withBindingLimit } from './testing/tiny-profile.js';

interface Case {
  m: number;
  n: number;
  k: number;
  batch?: number;
  transposeA?: boolean;
  transposeB?: boolean;
  dtype?: Extract<DType, 'f32' | 'bf16' | 'f16'>;
  alpha?: number;
  bias?: boolean;
  activation?: 'gelu' | 'silu';
  residual?: boolean;
  accumulate?: boolean;
  /** Bytes of the largest binding; the product must then take more than one call. */
  limit?: number;
}

/** Runs one case and holds it against float64. */
async function check(c: Case, tolerance = 5e-7): Promise<void> {
  const gpu = await testGpu();
  const profile = c.limit ? withBindingLimit(gpu.profile, c.limit) : gpu.profile;
  const { m, n, k, batch = 1, dtype = 'f32' } = c;
  const size = batch * m * n;
  const a = randomArray(batch * m * k, 1);
  const b = randomStored(batch * n * k, 2, dtype);
  const [bias, residual, before] = [randomArray(n, 3), randomArray(size, 4), randomArray(size, 5)];
  const out = c.accumulate ? upload(gpu, before) : emptyOutput(gpu, size);
  const { bias: hasBias, residual: hasResidual, limit, ...shape } = c;
  const args: MatmulArgs<GPUBuffer> = {
    ...shape,
    a: upload(gpu, a),
    b: uploadBytes(gpu, b.bytes, dtype),
    out,
    ...(hasBias && { bias: upload(gpu, bias) }),
    ...(hasResidual && { residual: upload(gpu, residual) }),
  };
  const calls = matmul(profile, args);
  expect(bindingFaults(calls, profile.limits.maxStorageBufferBindingSize)).toEqual([]);
  if (limit) expect(calls.length).toBeGreaterThan(1);
  await runKernels(gpu, calls);
  const expected = matmulReference(a, b.values, { ...c, batch }).map((product, i) => {
    let v = product * (c.alpha ?? 1);
    if (hasBias) v += bias[i % n]!;
    if (c.activation === 'gelu') v = geluReference(v).value;
    if (c.activation === 'silu') v /= 1 + Math.exp(-v);
    if (hasResidual) v += residual[i]!;
    return c.accumulate ? v + before[i]! : v;
  });
  expect(relativeError(await readF32(gpu, out, size), expected)).toBeLessThan(tolerance);
}

const orders = [
  { transposeA: false, transposeB: false },
  { transposeA: false, transposeB: true },
  { transposeA: true, transposeB: false },
  { transposeA: true, transposeB: true },
];

describe.each(orders)('A transposed: $transposeA, B transposed: $transposeB', (order) => {
  test.each([
    { m: 1, n: 1, k: 1 },
    { m: 13, n: 11, k: 7 },
    { m: 16, n: 24, k: 32 },
    { m: 12, n: 40, k: 136 },
    { m: 37, n: 29, k: 257 },
    { m: 12, n: 8, k: 5 },
  ])('$m × $n × $k', (shape) => check({ ...shape, ...order }));

  test('a batch', () => check({ m: 9, n: 10, k: 11, batch: 3, ...order }));
});

describe('shapes drawn at random', () => {
  test.each(
    randomCases(6, 1, ({ int, pick }): Case => {
      // Half of the sizes are such as allow vector loads.
      const size = () => pick([int(1, 40), 8 * int(1, 5)]);
      return { m: size(), n: size(), k: size(), batch: pick([1, 1, 3]), dtype: pick(['f32', 'bf16']), ...pick(orders) };
    }),
  )('%s', (_, c) => check(c));
});

describe('few rows', () => {
  test.each([1, 2, 4, 5])('%i × 31 × 64', (m) => check({ m, n: 31, k: 64, transposeB: true }));
});

describe.each(['bf16', 'f16'] as const)('B in %s', (dtype) => {
  test.each([
    { m: 9, n: 16, k: 24, transposeB: true },
    { m: 9, n: 24, k: 16, transposeB: false },
    { m: 3, n: 13, k: 9, transposeB: true },
  ])('$m × $n × $k, transposed: $transposeB', (c) => check({ ...c, dtype }));
});

describe.each(['q4_0', 'q5_0', 'q8_0', 'q4_k', 'q5_k', 'q6_k'] as QuantDType[])('B in %s', (dtype) => {
  // Six rows as written, or two rows three times as long.
  test.each([
    { rows: 6, transposeB: true, firstRow: 0 },
    { rows: 2, transposeB: true, firstRow: 0 },
    { rows: 6, transposeB: false, firstRow: 0 },
    { rows: 5, transposeB: true, firstRow: 1 },
  ])('$rows rows from $firstRow on, transposed: $transposeB', async ({ rows, transposeB, firstRow }) => {
    const gpu = await testGpu();
    const blocks = await ggufBlocks(dtype);
    const length = (blocks.rows * blocks.dim) / (rows + firstRow);
    const [m, n, k] = transposeB ? [5, rows, length] : [5, length, rows];
    const a = randomArray(m * k, 1);
    const out = emptyOutput(gpu, m * n);
    const b = uploadBytes(gpu, blocks.bytes, dtype);
    await runKernels(gpu, matmul(gpu.profile, { a: upload(gpu, a), b, out, m, n, k, transposeB, bFirstRow: firstRow }));
    const expected = matmulReference(a, blocks.values.subarray(firstRow * length), { m, n, k, transposeB });
    expect(relativeError(await readF32(gpu, out, m * n), expected)).toBeLessThan(5e-7);
  });
});

describe('epilogues', () => {
  test.each([
    { bias: true },
    { bias: true, activation: 'gelu' },
    { alpha: 0.37, bias: true, activation: 'silu', residual: true },
    { alpha: -2, residual: true, accumulate: true },
  ] as Partial<Case>[])('%o', async (epilogue) => {
    await check({ m: 9, n: 16, k: 24, transposeB: true, ...epilogue }, 1e-6);
    await check({ m: 9, n: 15, k: 7, transposeB: true, ...epilogue }, 1e-6);
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
  ] as (Case & { name: string })[])('$name', async ({ name: _, ...c }) => {
    await check({ ...c, ...everything }, 1e-6);
  });

  test('K in parts, added to what is there', () =>
    check({ m: 4, n: 24, k: 300, limit: 8192, alpha: 0.5, bias: true, residual: true, accumulate: true }, 1e-6));

  test('a batch beyond a binding, matrix by matrix', () => check({ m: 16, n: 8, k: 16, batch: 5, limit: 2048 }));

  test('a product in parts cannot be activated and then added', async () => {
    await expect(check({ m: 4, n: 24, k: 300, limit: 8192, activation: 'gelu', accumulate: true })).rejects.toThrow(
      /use two steps/,
    );
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
