import type { DeviceProfile } from '@lapidary/gpu';
import { byteLength, dtypeInfo, isQuantised, type DType } from './dtype.js';
import { f32Bits, foldWorkgroups, words, type Binding, type KernelCall, type Operand } from './kernel-call.js';
import { matrixLayout } from './matmul-matrix.js';
import { chooseMatmulVariant, matmulGeometries, type MatmulProduct, type MatmulVariant } from './matmul-variant.js';
import { isUsable, variantId } from './variants.js';
import { weightConditions } from './weight-conditions.js';
import { BindingLimitError } from './windows.js';

export interface MatmulArgs<B> {
  /** f32, [batch, M, K] or, with `transposeA`, [batch, K, M]. */
  readonly a: Operand<B>;
  /** Any storage type, [batch, K, N] or, with `transposeB`, [batch, N, K] (how linear weights lie: [out, in]). */
  readonly b: Operand<B>;
  /** f32 [batch, M, N]. */
  readonly out: Operand<B>;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  /** Default 1. */
  readonly batch?: number;
  /** Elements from one matrix of the batch to the next; 0 repeats one. Default: the matrix's size. */
  readonly batchStrides?: { readonly a?: number; readonly b?: number; readonly out?: number };
  /** Row-to-row distance of `out` in elements, when it is a column window of something wider. Default n. */
  readonly outRowStride?: number;
  /** First row of B (in its memory order) to use, for windows of a larger matrix. Default 0. */
  readonly bFirstRow?: number;
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
  /** Multiplies the product. Default 1. */
  readonly alpha?: number;
  /** f32 [N], added after alpha. */
  readonly bias?: Operand<B>;
  readonly activation?: 'gelu' | 'silu';
  /** f32 [batch, M, N], added last. */
  readonly residual?: Operand<B>;
  /** Adds to what `out` holds instead of overwriting it. */
  readonly accumulate?: boolean;
  /** Default: what this device is fast with. */
  readonly variant?: MatmulVariant;
}

/** Bindings and element offsets are aligned so that every 16-byte load stays aligned. */
const ALIGNMENT = 256;

/** A window over elements [start, end) of an operand, and where `start` lies inside it. */
interface Window<B> {
  readonly binding: Binding<B>;
  readonly startElement: number;
}

function leastCommonMultiple(a: number, b: number): number {
  let multiple = a;
  while (multiple % b !== 0) multiple += a;
  return multiple;
}

function windowOf<B>(operand: Operand<B>, start: number, end: number, access: Binding<B>['access']): Window<B> {
  const { blockSize, blockBytes } = dtypeInfo[operand.dtype];
  const startByte = (start / blockSize) * blockBytes;
  const endByte = Math.ceil(end / blockSize) * blockBytes;
  // A window must also begin at a whole block.
  const unit = blockSize > 1 ? leastCommonMultiple(ALIGNMENT, blockBytes) : ALIGNMENT;
  const first = Math.floor(startByte / unit) * unit;
  return {
    binding: {
      buffer: operand.buffer,
      offset: operand.offset + first,
      size: Math.ceil((endByte - first) / 4) * 4,
      access,
    },
    startElement: ((startByte - first) / blockBytes) * blockSize,
  };
}

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
        calls.push(matmulPart(profile, args, part, { lda, ldb, ldc, strideA, strideB, strideC, batch, firstRowB }));
      }
    }
  }
  return calls;
}

interface Part {
  m0: number;
  n0: number;
  k0: number;
  ms: number;
  ns: number;
  ks: number;
}
interface Strides {
  lda: number;
  ldb: number;
  ldc: number;
  strideA: number;
  strideB: number;
  strideC: number;
  batch: number;
  firstRowB: number;
}

function matmulPart<B>(profile: DeviceProfile, args: MatmulArgs<B>, part: Part, strides: Strides): KernelCall<B> {
  const { transposeA = false, transposeB = false, bias, residual, activation } = args;
  const { m0, n0, k0, ms, ns, ks } = part;
  const { lda, ldb, ldc, strideA, strideB, strideC, batch, firstRowB } = strides;
  const lastK = k0 + ks >= args.k;

  const aFirst = transposeA ? k0 * lda + m0 : m0 * lda + k0;
  const aEnd = strideA * (batch - 1) + (transposeA ? (k0 + ks - 1) * lda + m0 + ms : (m0 + ms - 1) * lda + k0 + ks);
  const bRow = firstRowB + (transposeB ? n0 : k0);
  const bFirst = bRow * ldb + (transposeB ? k0 : n0);
  const bEnd = strideB * (batch - 1) + (bRow + (transposeB ? ns : ks)) * ldb;
  const cFirst = m0 * ldc + n0;
  const cEnd = strideC * (batch - 1) + (m0 + ms - 1) * ldc + n0 + ns;
  const a = windowOf(args.a, aFirst, aEnd, 'read');
  const b = windowOf(args.b, bFirst, bEnd, 'read');
  const c = windowOf(args.out, cFirst, cEnd, 'read_write');
  const biasWindow = bias && lastK ? windowOf(bias, n0, n0 + ns, 'read') : undefined;
  const residualWindow = residual && lastK ? windowOf(residual, cFirst, cEnd, 'read') : undefined;

  // 16-byte loads where rows allow them; blocks of quantised weights are read in no other way.
  const wide = isUsable(profile, 'matmul:vec');
  const quantised = isQuantised(args.b.dtype);
  const product: MatmulProduct = { m: ms, n: ns, k: ks, batch, transposeA, transposeB, dtype: args.b.dtype };
  const variant = args.variant ?? chooseMatmulVariant(profile, product);
  const { shader, name, rowsFor, columns, tilesPerWorkgroup, down } = matmulGeometries[variant];
  const subgroup = shader === 'matmul/matmul_subgroup';
  const aVec =
    wide &&
    !subgroup &&
    (transposeA
      ? [ms, lda, a.startElement, strideA].every((v) => v % 4 === 0)
      : [ks, lda, a.startElement, strideA].every((v) => v % 8 === 0));
  const bVec =
    (wide || quantised) && (transposeB ? [ks] : [ns]).concat(ldb, b.startElement, strideB).every((v) => v % 8 === 0);
  if (!bVec && quantised) {
    throw new RangeError(`matmul: rows of a ${args.b.dtype} matrix must hold a multiple of 8 values, not ${ldb}`);
  }
  const cVec = wide && [ns, ldc, c.startElement, strideC].every((v) => v % 4 === 0);
  const layout = matrixLayout(profile, variant, args.b.dtype);
  if (layout === undefined && shader === 'matmul/matmul_matrix')
    throw new RangeError(`matmul: this device has no subgroup matrices, or not the workgroup memory, for '${variant}'`);
  const rows = rowsFor(ms);
  const [tilesM, tilesN] = [Math.ceil(ms / rows), Math.ceil(ns / columns)];
  const tiles = tilesM * tilesN;
  const [x, y] = foldWorkgroups(Math.ceil(tiles / tilesPerWorkgroup), profile.limits.maxComputeWorkgroupsPerDimension);
  const quads = subgroup && !transposeB;
  const vec = [aVec || subgroup, bVec, cVec];
  const size = `${rows}x${columns}`;

  const cBytes = batch * ms * ns * 4;
  const readsC = k0 > 0 || args.accumulate === true;
  const bindings = [a.binding, b.binding, c.binding];
  if (biasWindow) bindings.push(biasWindow.binding);
  if (residualWindow) bindings.push(residualWindow.binding);
  return {
    shader,
    conditions: {
      ...weightConditions(args.b.dtype, !bVec ? 1 : quads ? 4 : 8),
      A_TRANSPOSED: transposeA,
      B_TRANSPOSED: transposeB,
      A_VEC: aVec,
      B_VEC: bVec,
      B_QUADS: quads,
      C_VEC: cVec,
      ROWS4: rows === 4,
      ROWS8: rows === 8,
      ROWS16: rows === 16 || variant === 'quad',
      QUAD: variant === 'quad',
      LARGE: variant === 'workgroup128',
      BIAS: biasWindow !== undefined,
      ACT_GELU: lastK && activation === 'gelu',
      ACT_SILU: lastK && activation === 'silu',
      RESIDUAL: residualWindow !== undefined,
      CONTINUE: k0 > 0,
      ACCUMULATE: args.accumulate === true && k0 === 0,
      ...layout?.conditions,
    },
    ...(layout && { constants: layout.constants }),
    uniforms: words(
      ms,
      ns,
      ks,
      down ? tilesM : tilesN,
      lda,
      ldb,
      ldc,
      tiles,
      a.startElement,
      b.startElement,
      c.startElement,
      biasWindow?.startElement ?? 0,
      strideA,
      strideB,
      strideC,
      f32Bits(args.alpha ?? 1),
    ),
    bindings,
    workgroups: [x, y, batch],
    variant:
      name === ''
        ? `${vec.every(Boolean) ? 'vec' : vec.some(Boolean) ? 'part vec' : 'scalar'} ${size}`
        : `${name} ${size}${vec.every(Boolean) ? '' : ' odd'}`,
    ...(name === ''
      ? (aVec || cVec || (bVec && !quantised)) && variantId('matmul', 'vec')
      : variantId('matmul', variant)),
    ...(args.variant === undefined && { product }),
    work: {
      flops: 2 * batch * ms * ns * ks,
      bytes:
        a.binding.size +
        b.binding.size +
        (biasWindow?.binding.size ?? 0) +
        cBytes * (1 + Number(readsC) + Number(residualWindow !== undefined)),
    },
  };
}
