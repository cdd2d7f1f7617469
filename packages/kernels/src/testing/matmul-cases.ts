import { expect } from 'vitest';
import type { DType, QuantDType } from '../dtype.js';
import { matmul } from '../matmul/matmul.js';
import type { MatmulArgs } from '../matmul/matmul-args.js';
import type { MatmulVariant } from '../matmul/matmul-variant-names.js';
import { geluReference } from '../reference/geglu.js';
import { matmulReference } from '../reference/matmul.js';
import { rmsNormReference } from '../reference/rms-norm.js';
import { runKernels } from '../run-kernels.js';
import { ggufBlocks } from './gguf-blocks.js';
import { randomStored } from './half-floats.js';
import { emptyOutput, randomArray, readF32, relativeError, testGpu, upload, uploadBytes } from './test-gpu.js';
import { bindingFaults, withBindingLimit } from './tiny-profile.js';

export interface MatmulCase {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly batch?: number;
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
  readonly dtype?: Extract<DType, 'f32' | 'bf16' | 'f16'>;
  readonly alpha?: number;
  readonly bias?: boolean;
  readonly activation?: 'gelu' | 'silu';
  readonly residual?: boolean;
  readonly accumulate?: boolean;
  /** Type of the weight of an RMSNorm of A. */
  readonly norm?: Extract<DType, 'f32' | 'bf16' | 'f16'>;
  /** Bytes of the largest binding; the product must then take more than one call. */
  readonly limit?: number;
  /** Default: the device's. */
  readonly variant?: MatmulVariant;
}

/** The four orders in which matrices may lie. */
export const orders = [
  { transposeA: false, transposeB: false },
  { transposeA: false, transposeB: true },
  { transposeA: true, transposeB: false },
  { transposeA: true, transposeB: true },
];

/** Runs one case and holds it against float64. */
export async function checkMatmul(c: MatmulCase, tolerance = 5e-7): Promise<void> {
  const gpu = await testGpu();
  const profile = c.limit ? withBindingLimit(gpu.profile, c.limit) : gpu.profile;
  const { m, n, k, batch = 1, dtype = 'f32' } = c;
  const size = batch * m * n;
  const a = randomArray(batch * m * k, 1);
  const b = randomStored(batch * n * k, 2, dtype);
  const [bias, residual, before] = [randomArray(n, 3), randomArray(size, 4), randomArray(size, 5)];
  const out = c.accumulate ? upload(gpu, before) : emptyOutput(gpu, size);
  const { bias: hasBias, residual: hasResidual, norm: gains, limit, ...shape } = c;
  const norm = { eps: 0.01, weightOffset: 1 };
  const gain = gains && randomStored(k, 6, gains);
  const args: MatmulArgs<GPUBuffer> = {
    ...shape,
    a: upload(gpu, a),
    b: uploadBytes(gpu, b.bytes, dtype),
    out,
    workspace: (bytes) => emptyOutput(gpu, bytes / 4),
    ...(gains && gain && { norm: { ...norm, weight: uploadBytes(gpu, gain.bytes, gains) } }),
    ...(hasBias && { bias: upload(gpu, bias) }),
    ...(hasResidual && { residual: upload(gpu, residual) }),
  };
  const calls = matmul(profile, args);
  expect(bindingFaults(calls, profile.limits.maxStorageBufferBindingSize)).toEqual([]);
  if (limit) expect(calls.length).toBeGreaterThan(1);
  await runKernels(gpu, calls);
  const left = gain ? rmsNormReference(a, gain.values, { rows: m, dim: k, ...norm }) : a;
  const expected = matmulReference(left, b.values, { ...c, batch }).map((product, i) => {
    let v = product * (c.alpha ?? 1);
    if (hasBias) v += bias[i % n]!;
    if (c.activation === 'gelu') v = geluReference(v).value;
    if (c.activation === 'silu') v /= 1 + Math.exp(-v);
    if (hasResidual) v += residual[i]!;
    return c.accumulate ? v + before[i]! : v;
  });
  expect(relativeError(await readF32(gpu, out, size), expected)).toBeLessThan(tolerance);
}

export interface QuantisedCase {
  readonly dtype: QuantDType;
  readonly m: number;
  /** Rows of B that are used, and how many lie before them; they share out the blocks that ggml wrote. */
  readonly rows: number;
  readonly firstRow?: number;
  /** How often the blocks are repeated. Default 1. */
  readonly times?: number;
  readonly transposeB: boolean;
  readonly variant?: MatmulVariant;
}

/** The same with B in blocks as ggml wrote them. */
export async function checkQuantised({ dtype, m, rows, firstRow = 0, times = 1, ...c }: QuantisedCase): Promise<void> {
  const gpu = await testGpu();
  const blocks = await ggufBlocks(dtype);
  const values = Float32Array.from(
    { length: times * blocks.values.length },
    (_, i) => blocks.values[i % blocks.values.length]!,
  );
  const bytes = Uint8Array.from(
    { length: times * blocks.bytes.length },
    (_, i) => blocks.bytes[i % blocks.bytes.length]!,
  );
  const length = values.length / (rows + firstRow);
  const [n, k] = c.transposeB ? [rows, length] : [length, rows];
  const a = randomArray(m * k, 1);
  const out = emptyOutput(gpu, m * n);
  const b = uploadBytes(gpu, bytes, dtype);
  const workspace = (bytes: number) => emptyOutput(gpu, bytes / 4);
  await runKernels(
    gpu,
    matmul(gpu.profile, { ...c, a: upload(gpu, a), b, out, m, n, k, bFirstRow: firstRow, workspace }),
  );
  const expected = matmulReference(a, values.subarray(firstRow * length), { m, n, k, transposeB: c.transposeB });
  // Of a few long sums one may cancel, and the rounding of its terms then counts for more.
  expect(relativeError(await readF32(gpu, out, m * n), expected)).toBeLessThan(m * n < 16 ? 1e-6 : 5e-7);
}

/** Infinity in one row of op(A) and one column of op(B) stays in that row and column of the result: nothing else reads it. */
export async function checkInfinityStays(
  c: Pick<MatmulCase, 'm' | 'n' | 'k' | 'transposeA' | 'transposeB' | 'variant'>,
) {
  const gpu = await testGpu();
  const { m, n, k, transposeA = false, transposeB = false } = c;
  const [row, column] = [m - 2, n >> 1];
  const a = randomArray(m * k, 1);
  const b = randomArray(n * k, 2);
  for (let i = 0; i < k; i++) {
    a[transposeA ? i * m + row : row * k + i] = Infinity;
    b[transposeB ? column * k + i : i * n + column] = Infinity;
  }
  const out = emptyOutput(gpu, m * n);
  const workspace = (bytes: number) => emptyOutput(gpu, bytes / 4);
  await runKernels(gpu, matmul(gpu.profile, { ...c, a: upload(gpu, a), b: upload(gpu, b), out, workspace }));
  const found = await readF32(gpu, out, m * n);
  const finite = Array.from(found, Number.isFinite);
  expect(finite).toEqual(finite.map((_, i) => Math.floor(i / n) !== row && i % n !== column));
}
