import type { DeviceProfile } from '@lapidary/gpu';
import { byteLength, dtypeInfo, isQuantised } from '../dtype.js';
import { foldWorkgroups, type Binding, type KernelCall, type Operand } from '../kernel-call.js';
import type { MatmulArgs, MatmulNorm } from './matmul-args.js';
import { matrixLayout } from './matmul-matrix.js';
import type { MatmulVariant } from './matmul-variant-names.js';
import { recordOf, type MatmulShader } from './matmul-variants.js';
import { shaderCall, type ShaderUniforms } from '../shader-call.js';
import { isUsable, variantId } from '../variants.js';
import { weightConditions } from '../weight-conditions.js';
import { bind } from '../windows.js';

/** Bindings and element offsets are aligned so that every 16-byte load stays aligned. */
export const ALIGNMENT = 256;

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

/** The part of a product that one call makes: rows, columns and K from … on, and how many. */
export interface Part {
  readonly m0: number;
  readonly n0: number;
  readonly k0: number;
  readonly ms: number;
  readonly ns: number;
  readonly ks: number;
}
/** How matrices lie, in elements. */
export interface Strides {
  readonly lda: number;
  readonly ldb: number;
  readonly ldc: number;
  readonly strideA: number;
  readonly strideB: number;
  readonly strideC: number;
  readonly batch: number;
  readonly firstRowB: number;
}

/** C of a part: where it lies and what happens to the product on its way there. */
export type Result<B> = ReturnType<typeof resultOf<B>>;

export function resultOf<B>(
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
    bindings: { c: c.binding, bias: biasWindow?.binding, residual: residualWindow?.binding },
    start: c.startElement,
    biasStart: biasWindow?.startElement ?? 0,
    ldc,
    stride: strideC,
    alpha,
    /** Bytes read and written. */
    bytes: (biasWindow?.binding.size ?? 0) + batch * ms * ns * 4 * times,
  };
}

/** `Shape` of `shaders/matmul/result.wesl`. */
export function shapeFields(shape: {
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
  readonly norm?: Pick<MatmulNorm<unknown>, 'eps' | 'weightOffset'>;
}): ShaderUniforms<MatmulShader> {
  const { m, n, k, across, tiles, lda = 0, ldb = 0, ldc, aStart = 0, bStart = 0, start, biasStart } = shape;
  const { strideA, strideB = 0, stride, alpha, norm } = shape;
  return {
    ...{ m, n, k, tiles_across: across, lda, ldb, ldc, tiles },
    ...{ a_start: aStart, b_start: bStart, c_start: start, bias_start: biasStart },
    ...{ a_batch: strideA, b_batch: strideB, c_batch: stride, alpha },
    ...(norm && { eps: norm.eps, gain_offset: norm.weightOffset }),
  };
}

/** One dispatch of a product, over a part of it. */
export function productCall<B>(
  profile: DeviceProfile,
  args: MatmulArgs<B>,
  { m0, n0, k0, ms, ns, ks }: Part,
  { lda, ldb, strideA, strideB, batch, firstRowB }: Strides,
  variant: MatmulVariant,
  result: Result<B>,
): KernelCall<B> {
  const { transposeA = false, transposeB = false, norm } = args;
  const aFirst = transposeA ? k0 * lda + m0 : m0 * lda + k0;
  const aEnd = strideA * (batch - 1) + (transposeA ? (k0 + ks - 1) * lda + m0 + ms : (m0 + ms - 1) * lda + k0 + ks);
  const bRow = firstRowB + (transposeB ? n0 : k0);
  const bFirst = bRow * ldb + (transposeB ? k0 : n0);
  const bEnd = strideB * (batch - 1) + (transposeB ? (bRow + ns - 1) * ldb + k0 + ks : (bRow + ks - 1) * ldb + n0 + ns);
  const a = windowOf(args.a, aFirst, aEnd, 'read');
  const b = windowOf(args.b, bFirst, bEnd, 'read');

  // 16-byte loads where rows allow them; blocks of quantised weights are read in no other way.
  const wide = isUsable(profile, 'matmul:vec');
  const quantised = isQuantised(args.b.dtype);
  const { shader, label, rowsFor, columns, tilesPerWorkgroup, down } = recordOf(variant);
  const tall = shader === 'matmul/matmul_subgroup_tall';
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
  const gains = norm && bind(norm.weight, 'read', byteLength(norm.weight.dtype, ks));
  const rows = rowsFor(ms);
  const [tilesM, tilesN] = [Math.ceil(ms / rows), Math.ceil(ns / columns)];
  const tiles = tilesM * tilesN;
  const [x, y] = foldWorkgroups(Math.ceil(tiles / tilesPerWorkgroup), profile.limits.maxComputeWorkgroupsPerDimension);
  const quads = tall || (subgroup && !transposeB);
  const vec = [aVec || subgroup, bVec, result.isVec];
  const size = `${rows}x${columns}`;
  return shaderCall(shader, {
    conditions: {
      ...weightConditions(args.b.dtype, !bVec ? 1 : quads ? 4 : 8),
      A_TRANSPOSED: transposeA,
      B_TRANSPOSED: transposeB,
      A_VEC: aVec,
      B_VEC: bVec,
      B_QUADS: quads,
      ROWS4: rows === 4,
      ROWS8: rows === 8,
      ROWS16: (rows === 16 && !tall) || variant === 'quad',
      ROWS32: tall && rows === 32,
      QUAD: variant === 'quad',
      LARGE: variant === 'workgroup128',
      ...result.conditions,
      NORM: norm !== undefined,
      GAIN_F32: norm?.weight.dtype === 'f32',
      GAIN_F16: norm?.weight.dtype === 'f16',
      GAIN_BF16: norm?.weight.dtype === 'bf16',
      ...layout?.conditions,
    },
    ...(layout && { constants: layout.constants }),
    uniforms: shapeFields({
      ...{ ...result, m: ms, n: ns, k: ks, across: down ? tilesM : tilesN, tiles },
      ...{ lda, ldb, aStart: a.startElement, bStart: b.startElement, strideA, strideB },
      ...(norm && { norm }),
    }),
    bindings: { a: a.binding, weights: b.binding, ...result.bindings, gains },
    workgroups: [x, y, batch],
    variant:
      label === ''
        ? `${vec.every(Boolean) ? 'vec' : vec.some(Boolean) ? 'part vec' : 'scalar'} ${size}`
        : `${label} ${size}${vec.every(Boolean) ? '' : ' odd'}`,
    ...(label === ''
      ? (aVec || result.isVec || (bVec && !quantised)) && variantId('matmul', 'vec')
      : variantId('matmul', variant)),
    work: {
      flops: 2 * batch * ms * ns * ks,
      bytes: a.binding.size + b.binding.size + (gains?.size ?? 0) + result.bytes,
    },
  });
}
