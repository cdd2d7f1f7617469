import type { DeviceProfile } from '@lapidary/gpu';
import { byteLength, dtypeInfo, isQuantised, type DType } from './dtype.js';
import { f32Bits, foldWorkgroups, words, type Binding, type KernelCall, type Operand } from './kernel-call.js';
import { matrixLayout } from './matmul-matrix.js';
import {
  chooseMatmulVariant,
  matmulGeometries,
  splitOfK,
  type MatmulProduct,
  type MatmulVariant,
} from './matmul-variant.js';
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
  /** Gives scratch memory of so many bytes. Without it no product's K is shared out among workgroups (`split`). */
  readonly workspace?: (bytes: number) => Operand<B>;
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
        calls.push(...matmulPart(profile, args, part, { lda, ldb, ldc, strideA, strideB, strideC, batch, firstRowB }));
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

function matmulPart<B>(profile: DeviceProfile, args: MatmulArgs<B>, part: Part, strides: Strides): KernelCall<B>[] {
  const { transposeA = false, transposeB = false } = args;
  const { ms: m, ns: n, ks: k } = part;
  const product: MatmulProduct = { m, n, k, batch: strides.batch, transposeA, transposeB, dtype: args.b.dtype };
  const variant = args.variant ?? chooseMatmulVariant(profile, product, { canSplit: args.workspace !== undefined });
  const result = resultOf(profile, args, part, strides);
  const calls =
    variant === 'split'
      ? splitCalls(profile, args, part, strides, product, result)
      : [productCall(profile, args, part, strides, variant, result)];
  return args.variant === undefined ? calls.map((call) => ({ ...call, product })) : calls;
}

/** C of a part: where it lies and what happens to the product on its way there. */
type Result<B> = ReturnType<typeof resultOf<B>>;

function resultOf<B>(
  profile: DeviceProfile,
  args: Pick<MatmulArgs<B>, 'out' | 'k' | 'alpha' | 'bias' | 'activation' | 'residual' | 'accumulate'>,
  { m0, n0, k0, ms, ns, ks }: Part,
  { ldc, strideC, batch }: Pick<Strides, 'ldc' | 'strideC' | 'batch'>,
) {
  const { bias, residual, activation, accumulate = false, alpha = 1 } = args;
  const lastK = k0 + ks >= args.k;
  const first = m0 * ldc + n0;
  const end = strideC * (batch - 1) + (m0 + ms - 1) * ldc + n0 + ns;
  const c = windowOf(args.out, first, end, 'read_write');
  const biasWindow = bias && lastK ? windowOf(bias, n0, n0 + ns, 'read') : undefined;
  const residualWindow = residual && lastK ? windowOf(residual, first, end, 'read') : undefined;
  const isVec = isUsable(profile, 'matmul:vec') && [ns, ldc, c.startElement, strideC].every((v) => v % 4 === 0);
  const times = 1 + Number(k0 > 0 || accumulate) + Number(residualWindow !== undefined);
  return {
    isVec,
    conditions: {
      C_VEC: isVec,
      BIAS: biasWindow !== undefined,
      ACT_GELU: lastK && activation === 'gelu',
      ACT_SILU: lastK && activation === 'silu',
      RESIDUAL: residualWindow !== undefined,
      CONTINUE: k0 > 0,
      ACCUMULATE: accumulate && k0 === 0,
    },
    bindings: [c, biasWindow, residualWindow].flatMap((window) => (window ? [window.binding] : [])),
    start: c.startElement,
    biasStart: biasWindow?.startElement ?? 0,
    ldc,
    stride: strideC,
    alpha,
    /** Bytes read and written. */
    bytes: (biasWindow?.binding.size ?? 0) + batch * ms * ns * 4 * times,
  };
}

/**
 * Variant `split`: the products over parts of K, side by side in a workspace, and their sum (`shaders/matmul/combine.wesl`). What is
 * left of K where it is no multiple is a part of its own.
 */
function splitCalls<B>(
  profile: DeviceProfile,
  args: MatmulArgs<B>,
  part: Part,
  strides: Strides,
  product: MatmulProduct,
  result: Result<B>,
): KernelCall<B>[] {
  const { transposeA = false, transposeB = false } = args;
  const { ms, ns, k0, ks } = part;
  const { lda, ldb } = strides;
  if (args.workspace === undefined) throw new RangeError("matmul: 'split' needs a workspace");
  if (strides.batch > 1) throw new RangeError("matmul: 'split' takes one product, not a batch");
  const limits = profile.limits;
  const strideC = Math.ceil((ms * ns) / 64) * 64;
  const { parts, depth } = splitOfK(product, Math.floor(limits.maxStorageBufferBindingSize / (4 * strideC)));
  const sums = args.workspace(parts * strideC * 4);
  const partial = (from: number, deep: number, batch: number) => {
    const out = { ...sums, offset: sums.offset + (from / depth) * strideC * 4 };
    const own = { ldc: ns, strideC, batch };
    const whole = { m0: 0, n0: 0, k0: 0, ms, ns, ks: deep };
    return productCall(
      profile,
      args,
      { ...part, k0: k0 + from, ks: deep },
      {
        ...{ ...strides, ...own },
        strideA: transposeA ? depth * lda : depth,
        strideB: transposeB ? depth : depth * ldb,
      },
      'split',
      resultOf(profile, { out, k: deep }, whole, own),
    );
  };
  const read = { buffer: sums.buffer, offset: sums.offset, size: parts * strideC * 4, access: 'read' } as const;
  const full = Math.floor(ks / depth);
  const quads = ms * Math.ceil(ns / 4);
  return [
    ...(full > 0 ? [partial(0, depth, full)] : []),
    ...(full < parts ? [partial(full * depth, ks - full * depth, 1)] : []),
    {
      shader: 'matmul/combine',
      conditions: result.conditions,
      uniforms: shapeWords({
        ...result,
        m: ms,
        n: ns,
        k: parts,
        across: Math.ceil(ns / 4),
        tiles: quads,
        strideA: strideC,
      }),
      // Once more in the place of B, so that C has the binding that it has after a product.
      bindings: [read, read, ...result.bindings],
      workgroups: foldWorkgroups(Math.ceil(quads / 64), limits.maxComputeWorkgroupsPerDimension),
      variant: `split sum of ${parts}`,
      ...variantId('matmul', 'split'),
      work: { flops: 0, bytes: parts * ms * ns * 4 + result.bytes },
    },
  ];
}

/** `Shape` of `shaders/matmul/result.wesl`. */
function shapeWords(shape: {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly across: number;
  readonly tiles: number;
  readonly lda?: number;
  readonly ldb?: number;
  readonly ldc: number;
  readonly aStart?: number;
  readonly bStart?: number;
  readonly start: number;
  readonly biasStart: number;
  readonly strideA: number;
  readonly strideB?: number;
  readonly stride: number;
  readonly alpha: number;
}): Uint32Array {
  const { m, n, k, across, tiles, lda = 0, ldb = 0, ldc, aStart = 0, bStart = 0, start, biasStart } = shape;
  const { strideA, strideB = 0, stride, alpha } = shape;
  return words(
    ...[m, n, k, across],
    ...[lda, ldb, ldc, tiles],
    ...[aStart, bStart, start, biasStart],
    ...[strideA, strideB, stride, f32Bits(alpha)],
  );
}

function productCall<B>(
  profile: DeviceProfile,
  args: MatmulArgs<B>,
  { m0, n0, k0, ms, ns, ks }: Part,
  { lda, ldb, strideA, strideB, batch, firstRowB }: Strides,
  variant: MatmulVariant,
  result: Result<B>,
): KernelCall<B> {
  const { transposeA = false, transposeB = false } = args;
  const aFirst = transposeA ? k0 * lda + m0 : m0 * lda + k0;
  const aEnd = strideA * (batch - 1) + (transposeA ? (k0 + ks - 1) * lda + m0 + ms : (m0 + ms - 1) * lda + k0 + ks);
  const bRow = firstRowB + (transposeB ? n0 : k0);
  const bFirst = bRow * ldb + (transposeB ? k0 : n0);
  // Matrices of a batch that lie beside each other in the same rows end with them.
  const bEnd = (strideB < ldb ? 0 : strideB * (batch - 1)) + (bRow + (transposeB ? ns : ks)) * ldb;
  const a = windowOf(args.a, aFirst, aEnd, 'read');
  const b = windowOf(args.b, bFirst, bEnd, 'read');

  // 16-byte loads where rows allow them; blocks of quantised weights are read in no other way.
  const wide = isUsable(profile, 'matmul:vec');
  const quantised = isQuantised(args.b.dtype);
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
  const layout = matrixLayout(profile, variant, args.b.dtype);
  if (layout === undefined && shader === 'matmul/matmul_matrix')
    throw new RangeError(`matmul: this device has no subgroup matrices, or not the workgroup memory, for '${variant}'`);
  const rows = rowsFor(ms);
  const [tilesM, tilesN] = [Math.ceil(ms / rows), Math.ceil(ns / columns)];
  const tiles = tilesM * tilesN;
  const [x, y] = foldWorkgroups(Math.ceil(tiles / tilesPerWorkgroup), profile.limits.maxComputeWorkgroupsPerDimension);
  const quads = subgroup && !transposeB;
  const vec = [aVec || subgroup, bVec, result.isVec];
  const size = `${rows}x${columns}`;
  return {
    shader,
    conditions: {
      ...weightConditions(args.b.dtype, !bVec ? 1 : quads ? 4 : 8),
      A_TRANSPOSED: transposeA,
      B_TRANSPOSED: transposeB,
      A_VEC: aVec,
      B_VEC: bVec,
      B_QUADS: quads,
      ROWS4: rows === 4,
      ROWS8: rows === 8,
      ROWS16: rows === 16 || variant === 'quad',
      QUAD: variant === 'quad',
      LARGE: variant === 'workgroup128',
      ...result.conditions,
      ...layout?.conditions,
    },
    ...(layout && { constants: layout.constants }),
    uniforms: shapeWords({
      ...{ ...result, m: ms, n: ns, k: ks, across: down ? tilesM : tilesN, tiles },
      ...{ lda, ldb, aStart: a.startElement, bStart: b.startElement, strideA, strideB },
    }),
    bindings: [a.binding, b.binding, ...result.bindings],
    workgroups: [x, y, batch],
    variant:
      name === ''
        ? `${vec.every(Boolean) ? 'vec' : vec.some(Boolean) ? 'part vec' : 'scalar'} ${size}`
        : `${name} ${size}${vec.every(Boolean) ? '' : ' odd'}`,
    ...(name === ''
      ? (aVec || result.isVec || (bVec && !quantised)) && variantId('matmul', 'vec')
      : variantId('matmul', variant)),
    work: {
      flops: 2 * batch * ms * ns * ks,
      bytes: a.binding.size + b.binding.size + result.bytes,
    },
  };
}
