import type { DeviceProfile } from '@lapidary/gpu';
import { byteLength, isQuantised, type DType } from '../dtype.js';
import type { KernelCall, Operand } from '../kernel-call.js';
import type { MatmulArgs } from './matmul-args.js';
import { ALIGNMENT, productCall, resultOf, type Part, type Strides } from './matmul-call.js';
import { splitCalls } from './matmul-split.js';
import { chooseMatmulVariant, takesNorm, type MatmulProduct } from './matmul-variant.js';
import { reuseWorkspace } from '../reuse-workspace.js';
import { BindingLimitError } from '../windows.js';

/** The fewest rows of `rowElements` after which a window may start: 256-byte aligned, at a whole block, a multiple of 8. */
function rowStep(dtype: DType, rowElements: number): number {
  if (!isQuantised(dtype)) return 8;
  const rowBytes = byteLength(dtype, rowElements);
  let step = 8;
  while ((rowBytes * step) % ALIGNMENT !== 0) step *= 2;
  return step;
}

/** How many of `total` rows fit a binding: all of them, or a multiple of `step`. */
function rowsThatFit(total: number, rowBytes: number, step: number, limit: number, what: string): number {
  // One alignment is kept free: a window may have to begin up to 255 bytes before its first row.
  const fit = Math.floor((limit - ALIGNMENT) / rowBytes);
  if (fit >= total) return total;
  const rows = Math.floor(fit / step) * step;
  if (rows < 1)
    throw new BindingLimitError(
      `matmul: ${step} rows of ${what} (${rowBytes} bytes each) do not fit a binding of ${limit} bytes`,
    );
  return rows;
}

/**
 * C = epilogue(alpha · op(A)·op(B)) with f32 accumulation; see `shaders/matmul/matmul.wesl`. Operands larger than one
 * binding are walked in windows: rows of A and C, rows or K-slices of B (which then accumulate).
 * @throws BindingLimitError where no window fits
 */
export function matmul<B>(profile: DeviceProfile, args: MatmulArgs<B>): KernelCall<B>[] {
  const { m, n, k, transposeA = false, transposeB = false } = args;
  const batch = args.batch ?? 1;
  if (m === 0 || n === 0 || batch === 0) return [];
  if (args.norm) checkNormed(args);
  const limit = profile.limits.maxStorageBufferBindingSize;
  const lda = transposeA ? m : k;
  const ldb = transposeB ? k : n;
  const ldc = args.outRowStride ?? n;
  const strideA = args.batchStrides?.a ?? m * k;
  const strideB = args.batchStrides?.b ?? n * k;
  const strideC = args.batchStrides?.out ?? m * n;
  const firstRowB = args.bFirstRow ?? 0;
  const bytesOf = (dtype: DType, elements: number) => byteLength(dtype, elements);

  const wholeBytes = Math.max(
    (strideA * (batch - 1) + m * k) * 4,
    bytesOf(args.b.dtype, strideB * (batch - 1) + (firstRowB + (transposeB ? n : k)) * ldb),
    (strideC * (batch - 1) + (m - 1) * ldc + n) * 4,
  );
  if (batch > 1 && wholeBytes > limit) {
    const shift = (operand: Operand<B>, elements: number): Operand<B> => {
      const bytes = bytesOf(operand.dtype, elements);
      if (bytes % ALIGNMENT !== 0)
        throw new RangeError('matmul: a batch beyond one binding needs matrices of a multiple of 256 bytes');
      return { ...operand, offset: operand.offset + bytes };
    };
    return Array.from({ length: batch }, (_, i) =>
      matmul(profile, {
        ...args,
        batch: 1,
        a: shift(args.a, i * strideA),
        b: shift(args.b, i * strideB),
        out: shift(args.out, i * strideC),
        ...(args.residual && { residual: shift(args.residual, i * strideC) }),
      }),
    ).flat();
  }

  const stepB = rowStep(args.b.dtype, ldb);
  const bRowsFit = rowsThatFit(transposeB ? n : k, bytesOf(args.b.dtype, ldb), stepB, limit, 'B');
  const mStep =
    batch > 1
      ? m
      : Math.min(rowsThatFit(m, ldc * 4, 8, limit, 'C'), transposeA ? m : rowsThatFit(m, lda * 4, 8, limit, 'A'));
  const nStep = transposeB && batch === 1 ? bRowsFit : n;
  let kStep = transposeB || batch > 1 ? k : bRowsFit;
  if (transposeA && batch === 1) kStep = Math.min(kStep, rowsThatFit(k, lda * 4, stepB, limit, 'A'));

  if (kStep < k && args.activation && args.accumulate) {
    throw new BindingLimitError(
      `matmul: a product of K = ${k} in parts of ${kStep} cannot be activated and added to what is there; use two steps`,
    );
  }
  const shared = { ...args, ...(args.workspace && { workspace: reuseWorkspace(args.workspace) }) };
  const calls: KernelCall<B>[] = [];
  for (let m0 = 0; m0 < m; m0 += mStep) {
    for (let n0 = 0; n0 < n; n0 += nStep) {
      for (let k0 = 0; k0 === 0 || k0 < k; k0 += kStep) {
        const part = {
          m0,
          n0,
          k0,
          ms: Math.min(mStep, m - m0),
          ns: Math.min(nStep, n - n0),
          ks: Math.min(kStep, k - k0),
        };
        calls.push(
          ...matmulPart(profile, shared, part, { lda, ldb, ldc, strideA, strideB, strideC, batch, firstRowB }),
        );
      }
    }
  }
  return calls;
}

function checkNormed({
  norm,
  m,
  batch = 1,
  transposeA,
  transposeB,
  bias,
  residual,
  variant = 'plain',
}: MatmulArgs<unknown>): void {
  const isLine = m === 1 && batch === 1 && !transposeA && transposeB;
  if (!isLine || bias || residual || !takesNorm(variant))
    throw new RangeError('matmul: only a single row is normalised first, by a transposed B, with no bias or residual');
  if (norm && isQuantised(norm.weight.dtype))
    throw new RangeError(`matmul: the weight of a norm must be f32, f16 or bf16, not ${norm.weight.dtype}`);
}

function matmulPart<B>(profile: DeviceProfile, args: MatmulArgs<B>, part: Part, strides: Strides): KernelCall<B>[] {
  const { transposeA = false, transposeB = false } = args;
  const { ms: m, ns: n, ks: k } = part;
  const product: MatmulProduct = { m, n, k, batch: strides.batch, transposeA, transposeB, dtype: args.b.dtype };
  const given = { canSplit: args.workspace !== undefined, isNormed: args.norm !== undefined };
  const variant = args.variant ?? chooseMatmulVariant(profile, product, given);
  const result = resultOf(profile, args, part, strides);
  const calls =
    variant === 'split'
      ? splitCalls(profile, args, part, strides, product, result)
      : [productCall(profile, args, part, strides, variant, result)];
  return args.variant === undefined ? calls.map((call) => ({ ...call, product })) : calls;
}
