import type { DeviceProfile } from '@lapidary/gpu';
import { dtypeInfo, type DType } from '../dtype.js';
import { matrixLayout } from './matmul-matrix.js';
import type { ShaderName } from '../shader-call.js';
import { hasQuads, hasSubgroupsOf8, isUsable } from '../variants.js';

/**
 * How a product is shared out.
 * - `plain`: a tile of registers an invocation, straight from storage. Right on adapters of the CPU.
 * - `plain16`: the same with 16 × 16 results, half the loads; compiles for longer.
 * - `quad`: four invocations of `plain16` side by side share what they load: half the loads again.
 * - `subgroup`: eight invocations of an adapter of the CPU share what they load.
 * - `subgroup32`: the same with 32 or 16 rows of results, which read B that much less often; for more than 8 rows.
 * - `workgroup64`, `workgroup128`: 64 × 64 or 128 × 128 results a workgroup, from slices in workgroup memory. For GPUs.
 * - `sliced`: K is shared out among invocations. For GPUs and results of few rows or columns.
 * - `split`: K is shared out among workgroups of `workgroup64`, whose sums are then added up. For GPUs and small results of a long K.
 * - `matrix64`, `matrix128`: 64 × 64 or 128 × 128 results a workgroup, by subgroup matrices (tensor cores); f32 values are two f16.
 * - `half64`, `half128`: the same with values rounded to f16. Where `DeviceProfile.matmulPrecision` allows it.
 */
export type MatmulVariant =
  | 'plain'
  | 'plain16'
  | 'quad'
  | 'subgroup'
  | 'subgroup32'
  | 'workgroup64'
  | 'workgroup128'
  | 'sliced'
  | 'split'
  | 'matrix64'
  | 'matrix128'
  | 'half64'
  | 'half128';

/** Programs that multiply matrices. */
export type MatmulShader = Extract<ShaderName, `matmul/matmul${string}`>;

export interface MatmulGeometry {
  readonly shader: MatmulShader;
  /** What `KernelCall.variant` begins with; of plain calls, how they load. */
  readonly name: string;
  /** Rows of a tile for a result of `m` rows. */
  readonly rowsFor: (m: number) => number;
  readonly columns: number;
  readonly tilesPerWorkgroup: number;
  /** Whether tiles that follow each other lie below each other, not side by side. */
  readonly down: boolean;
}

const upTo4 = (m: number) => (m === 1 ? 1 : 4);
const upTo8 = (m: number) => (m > 4 ? 8 : upTo4(m));
/** 48 rows are three tiles of 16, not two of 32. */
const upTo32 = (m: number) => (m <= 16 || (m > 32 && m <= 48) ? 16 : 32);
const square = (name: 'workgroup' | 'matrix' | 'half', side: number): MatmulGeometry => ({
  shader: name === 'workgroup' ? 'matmul/matmul_workgroup' : 'matmul/matmul_matrix',
  name,
  rowsFor: () => side,
  columns: side,
  tilesPerWorkgroup: 1,
  down: true,
});

export const matmulGeometries: Readonly<Record<MatmulVariant, MatmulGeometry>> = {
  plain: { shader: 'matmul/matmul', name: '', rowsFor: upTo8, columns: 8, tilesPerWorkgroup: 32, down: false },
  plain16: { shader: 'matmul/matmul', name: '', rowsFor: () => 16, columns: 16, tilesPerWorkgroup: 32, down: false },
  quad: { shader: 'matmul/matmul', name: 'quad', rowsFor: () => 32, columns: 32, tilesPerWorkgroup: 8, down: false },
  subgroup: {
    shader: 'matmul/matmul_subgroup',
    name: 'subgroup',
    rowsFor: upTo8,
    columns: 32,
    tilesPerWorkgroup: 4,
    down: true,
  },
  subgroup32: {
    shader: 'matmul/matmul_subgroup_tall',
    name: 'subgroup',
    rowsFor: upTo32,
    columns: 32,
    tilesPerWorkgroup: 4,
    down: true,
  },
  workgroup64: square('workgroup', 64),
  workgroup128: square('workgroup', 128),
  split: { ...square('workgroup', 64), name: 'split' },
  matrix64: square('matrix', 64),
  matrix128: square('matrix', 128),
  half64: square('half', 64),
  half128: square('half', 128),
  sliced: {
    shader: 'matmul/matmul_sliced',
    name: 'sliced',
    rowsFor: upTo4,
    columns: 8,
    tilesPerWorkgroup: 2,
    down: true,
  },
};

/** Workgroups that keep a GPU busy, a guess at its cores; or invocations that keep a CPU busy. */
const BUSY = 64;
/** Rows up to which a product with rows of B is bound by reading B. */
const FEW_ROWS = 4;
/** Rows or columns up to which most of a 64 × 64 tile would be idle. */
const SKINNY = 16;
/** K from which it is worth sharing out: all 32 invocations of a tile have eight values. */
const LONG = 256;
/** Least K of a part that is worth a workgroup of its own, and a trip of its sums through memory. */
const DEEP = 256;
/** How many times as many results large tiles may compute, those past the edges with them, as tiles of half their side. */
const MOST_WASTE = 1.25;

/** A matrix product as the choice of its variant sees it. */
export interface MatmulProduct {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly batch: number;
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  /** Of B. */
  readonly dtype: DType;
}

/** What a product goes by in `DeviceProfile.kernelChoices`: `512x2048x640 nt bf16`, with n or t for A and B as they lie. */
export function productKey({ m, n, k, batch, transposeA, transposeB, dtype }: MatmulProduct): string {
  const order = `${transposeA ? 't' : 'n'}${transposeB ? 't' : 'n'}`;
  return `${batch === 1 ? '' : `${batch} of `}${m}x${n}x${k} ${order} ${dtype}`;
}

/** The variant for a product on a device: the one chosen for it there, if it is among the candidates, or else that of the rule. */
export function chooseMatmulVariant(
  profile: DeviceProfile,
  product: MatmulProduct,
  options: MatmulConditions = {},
): MatmulVariant {
  const choice = profile.kernelChoices?.get(productKey(product));
  const chosen = choice && matmulCandidates(profile, product, options).find((variant) => variant === choice);
  return chosen || matmulByRule(profile, product, options);
}

/** What a caller of a product has for it. */
export interface MatmulConditions {
  /** Whether there is memory for `split`. Default true. */
  readonly canSplit?: boolean;
  /** Whether A is normalised first. Default false. */
  readonly isNormed?: boolean;
}

/** The variant that is taken where nothing was measured: the first that is usable of those that suit, or else the plain one. */
export function matmulByRule(
  profile: DeviceProfile,
  product: MatmulProduct,
  options: MatmulConditions = {},
): MatmulVariant {
  return suitable(profile, product).find((variant) => canUse(profile, variant, options)) ?? 'plain';
}

/** Variants that are worth measuring for a product on a device and usable there, that of the rule first. */
export function matmulCandidates(
  profile: DeviceProfile,
  product: MatmulProduct,
  options: MatmulConditions = {},
): readonly MatmulVariant[] {
  const usable = possible(profile, product).filter((variant) => canUse(profile, variant, options));
  return [...new Set([matmulByRule(profile, product, options), ...usable])];
}

function canUse(profile: DeviceProfile, variant: MatmulVariant, options: MatmulConditions): boolean {
  const { canSplit = true, isNormed = false } = options;
  return (
    isUsable(profile, `matmul:${variant}`) && (canSplit || variant !== 'split') && (!isNormed || takesNorm(variant))
  );
}

/** Whether a variant can normalise A first (`MatmulNorm`). */
export const takesNorm = (variant: MatmulVariant): boolean => variant === 'plain' || variant === 'sliced';

/**
 * How `split` shares out K: in how many parts, `most` at most, of which depth (the last may be less deep). Each is as many workgroups
 * as the result has tiles.
 */
export function splitOfK(product: MatmulProduct, most: number): { readonly parts: number; readonly depth: number } {
  const { k, dtype } = product;
  const wanted = Math.ceil((2 * BUSY) / tilesOf(product, 64));
  const parts = Math.max(1, Math.min(wanted, most, Math.floor(k / DEEP)));
  // Parts begin where rows can be read: at whole blocks, and for vectors at a multiple of 8.
  const unit = Math.max(8, dtypeInfo[dtype].blockSize);
  const depth = Math.max(1, Math.ceil(k / parts / unit)) * unit;
  return { parts: Math.max(1, Math.ceil(k / depth)), depth };
}

/** Tiles of a side that cover all results. */
const tilesOf = ({ m, n, batch }: MatmulProduct, side: number) => Math.ceil(m / side) * Math.ceil(n / side) * batch;
/** Whether too much of such tiles lies past the edges. */
const isWasteful = (product: MatmulProduct, side: number) =>
  4 * tilesOf(product, side) > MOST_WASTE * tilesOf(product, side / 2);

function possible(profile: DeviceProfile, product: MatmulProduct): readonly MatmulVariant[] {
  const { m, n, k, batch, dtype } = product;
  const least = Math.min(m, n);
  if (profile.adapter.isSoftware) {
    const eights = m > 8 ? (['subgroup', 'subgroup32'] as const) : (['subgroup'] as const);
    const subgroup = hasSubgroupsOf8(profile) ? eights : [];
    const quad = hasQuads(profile) && !isWasteful(product, 32) ? (['quad'] as const) : [];
    return [...subgroup, 'plain', ...(least > 8 ? (['plain16'] as const) : []), ...quad];
  }
  const few = least <= 64;
  const idle = tilesOf(product, 64) < BUSY;
  const kinds = profile.matmulPrecision === 'float16' ? (['half', 'matrix'] as const) : (['matrix'] as const);
  const sides = few ? ([64] as const) : ([64, 128] as const);
  return [
    'workgroup64',
    ...(few ? [] : (['workgroup128'] as const)),
    ...kinds
      .flatMap((kind) => sides.map((side) => `${kind}${side}` as const))
      .filter((variant) => matrixLayout(profile, variant, dtype) !== undefined),
    ...(few && k >= 32 ? (['sliced'] as const) : []),
    ...(idle && batch === 1 && least > FEW_ROWS && k >= 2 * DEEP ? (['split'] as const) : []),
    // Slow on GPUs, but where a few tiles would leave most of one idle.
    ...(idle ? (['plain'] as const) : []),
  ];
}

function suitable(profile: DeviceProfile, product: MatmulProduct): readonly MatmulVariant[] {
  const { m, n, k, batch, transposeB, dtype } = product;
  const tiles = (side: number) => tilesOf(product, side);
  // On the CPU a load costs more than what is done with it: subgroups, of eight or four, share them.
  if (hasSubgroupsOf8(profile)) return m > 8 ? ['subgroup32', 'subgroup'] : ['subgroup'];
  if (profile.adapter.isSoftware) {
    if (Math.min(m, n) <= 8 || tiles(16) < BUSY) return [];
    return hasQuads(profile) && !isWasteful(product, 32) ? ['quad', 'plain16'] : ['plain16'];
  }
  if (m <= FEW_ROWS && transposeB) return ['sliced'];
  if (Math.min(m, n) <= SKINNY && k >= LONG && tiles(64) < BUSY) return ['sliced'];
  const sides = tiles(128) >= BUSY && !isWasteful(product, 128) ? ([128, 64] as const) : ([64] as const);
  const half = profile.matmulPrecision === 'float16' ? sides.map((side) => `half${side}` as const) : [];
  return [
    ...half.filter((variant) => matrixLayout(profile, variant, dtype) !== undefined),
    ...(batch === 1 && 4 * tiles(64) <= BUSY && k >= 4 * DEEP ? (['split'] as const) : []),
    ...sides.map((side) => `workgroup${side}` as const),
  ];
}
