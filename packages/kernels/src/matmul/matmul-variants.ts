import type { DeviceProfile } from '@lapidary/gpu';
import type { ShaderName } from '../shader-call.js';
import { hasQuads, hasSubgroupsOf8 } from '../variants.js';
import { matrixLayout } from './matmul-matrix.js';
import { isWasteful, tilesOf, type MatmulProduct } from './matmul-product.js';
import type { MatmulVariant } from './matmul-variant-names.js';

/** Programs that multiply matrices. */
export type MatmulShader = Extract<ShaderName, `matmul/matmul${string}`>;

/** One way to compute a product. To add one: its shader, a record here, and its line in `MatmulVariant`. */
export interface MatmulVariantRecord {
  readonly name: MatmulVariant;
  readonly shader: MatmulShader;
  /** What `KernelCall.variant` begins with; of plain calls, how they load. */
  readonly label: string;
  /** Rows of a tile for a result of `m` rows. */
  readonly rowsFor: (m: number) => number;
  readonly columns: number;
  readonly tilesPerWorkgroup: number;
  /** Whether tiles that follow each other lie below each other, not side by side. */
  readonly down: boolean;
  /** Whether it can normalise A first (`MatmulNorm`). */
  readonly takesNorm: boolean;
  /** Whether it is worth measuring for a product on a device: it can run there, and may be the fastest. */
  isCandidate(profile: DeviceProfile, product: MatmulProduct): boolean;
  /** Whether it is right by rule, where nothing was measured. Of several the one of the highest `precedence` is taken. */
  suits(profile: DeviceProfile, product: MatmulProduct): boolean;
  readonly precedence: number;
}

/** Workgroups that keep a GPU busy, a guess at its cores; or invocations that keep a CPU busy. */
export const BUSY = 64;
/** Rows up to which a product with rows of B is bound by reading B. */
const FEW_ROWS = 4;
/** Rows or columns up to which most of a 64 × 64 tile would be idle. */
const SKINNY = 16;
/** K from which it is worth sharing out: all 32 invocations of a tile have eight values. */
const LONG = 256;
/** Least K of a part that is worth a workgroup of its own, and a trip of its sums through memory. */
export const DEEP = 256;

const upTo4 = (m: number) => (m === 1 ? 1 : 4);
const upTo8 = (m: number) => (m > 4 ? 8 : upTo4(m));
/** 48 rows are three tiles of 16, not two of 32. */
const upTo32 = (m: number) => (m <= 16 || (m > 32 && m <= 48) ? 16 : 32);

const isGpu = ({ adapter }: DeviceProfile) => !adapter.isSoftware;
const least = ({ m, n }: MatmulProduct) => Math.min(m, n);
/** Whether a GPU would have cores without a 64 × 64 tile. */
const isIdle = (product: MatmulProduct) => tilesOf(product, 64) < BUSY;
/** Whether K is best shared out among invocations: few rows or columns. */
const isThin = (product: MatmulProduct) =>
  (product.m <= FEW_ROWS && product.transposeB) || (least(product) <= SKINNY && product.k >= LONG && isIdle(product));
/** Whether 128 × 128 tiles keep a GPU busy, and little of them is lost. */
const fills128 = (product: MatmulProduct) => tilesOf(product, 128) >= BUSY && !isWasteful(product, 128);
/** Adapters of the CPU whose subgroups do not share loads: large tiles, where there are enough of them. */
const wantsLargeTiles = (profile: DeviceProfile, product: MatmulProduct) =>
  profile.adapter.isSoftware && !hasSubgroupsOf8(profile) && least(product) > 8 && tilesOf(product, 16) >= BUSY;
const never = () => false;

/** Square tiles of a GPU. */
function square(name: MatmulVariant, label: string, side: 64 | 128) {
  const shader: MatmulShader =
    label === 'matrix' || label === 'half' ? 'matmul/matmul_matrix' : 'matmul/matmul_workgroup';
  const tile = { rowsFor: () => side, columns: side, tilesPerWorkgroup: 1, down: true };
  return { name, shader, label, ...tile, takesNorm: false };
}

function workgroup(side: 64 | 128): MatmulVariantRecord {
  return {
    ...square(`workgroup${side}`, 'workgroup', side),
    isCandidate: (profile, product) => isGpu(profile) && (side === 64 || least(product) > 64),
    suits: (profile, product) => isGpu(profile) && !isThin(product) && (side === 64 || fills128(product)),
    precedence: side === 64 ? 1 : 2,
  };
}

/** Tensor cores: `matrix` is about as exact as f32, `half` rounds to f16, and is taken by rule where that is allowed. */
function matrix(kind: 'matrix' | 'half', side: 64 | 128): MatmulVariantRecord {
  const name = `${kind}${side}` as const;
  const canRun = (profile: DeviceProfile, { dtype }: MatmulProduct) =>
    isGpu(profile) &&
    (kind === 'matrix' || profile.matmulPrecision === 'float16') &&
    matrixLayout(profile, name, dtype) !== undefined;
  return {
    ...square(name, kind, side),
    isCandidate: (profile, product) => canRun(profile, product) && (side === 64 || least(product) > 64),
    suits: (profile, product) =>
      kind === 'half' && canRun(profile, product) && !isThin(product) && (side === 64 || fills128(product)),
    precedence: side === 64 ? 4 : 5,
  };
}

const split: MatmulVariantRecord = {
  ...square('split', 'split', 64),
  isCandidate: (profile, product) =>
    isGpu(profile) && isIdle(product) && product.batch === 1 && least(product) > FEW_ROWS && product.k >= 2 * DEEP,
  suits: (profile, product) =>
    isGpu(profile) &&
    !isThin(product) &&
    product.batch === 1 &&
    4 * tilesOf(product, 64) <= BUSY &&
    product.k >= 4 * DEEP,
  precedence: 3,
};

const sliced: MatmulVariantRecord = {
  name: 'sliced',
  shader: 'matmul/matmul_sliced',
  label: 'sliced',
  rowsFor: upTo4,
  columns: 8,
  tilesPerWorkgroup: 2,
  down: true,
  takesNorm: true,
  isCandidate: (profile, product) => isGpu(profile) && least(product) <= 64 && product.k >= 32,
  suits: (profile, product) => isGpu(profile) && isThin(product),
  precedence: 1,
};

const subgroup: MatmulVariantRecord = {
  name: 'subgroup',
  shader: 'matmul/matmul_subgroup',
  label: 'subgroup',
  rowsFor: upTo8,
  columns: 32,
  tilesPerWorkgroup: 4,
  down: true,
  takesNorm: false,
  isCandidate: (profile) => hasSubgroupsOf8(profile),
  suits: (profile) => hasSubgroupsOf8(profile),
  precedence: 1,
};

const subgroup32: MatmulVariantRecord = {
  ...subgroup,
  name: 'subgroup32',
  shader: 'matmul/matmul_subgroup_tall',
  rowsFor: upTo32,
  isCandidate: (profile, { m }) => hasSubgroupsOf8(profile) && m > 8,
  suits: (profile, { m }) => hasSubgroupsOf8(profile) && m > 8,
  precedence: 2,
};

const plain: MatmulVariantRecord = {
  name: 'plain',
  shader: 'matmul/matmul',
  label: '',
  rowsFor: upTo8,
  columns: 8,
  tilesPerWorkgroup: 32,
  down: false,
  takesNorm: true,
  // Slow on GPUs, but where a few tiles would leave most of one idle.
  isCandidate: (profile, product) => profile.adapter.isSoftware || isIdle(product),
  // What is taken where nothing else suits.
  suits: never,
  precedence: 0,
};

const plain16: MatmulVariantRecord = {
  ...plain,
  name: 'plain16',
  rowsFor: () => 16,
  columns: 16,
  takesNorm: false,
  isCandidate: (profile, product) => profile.adapter.isSoftware && least(product) > 8,
  suits: wantsLargeTiles,
  precedence: 1,
};

const quad: MatmulVariantRecord = {
  ...plain16,
  name: 'quad',
  label: 'quad',
  rowsFor: () => 32,
  columns: 32,
  tilesPerWorkgroup: 8,
  isCandidate: (profile, product) => profile.adapter.isSoftware && hasQuads(profile) && !isWasteful(product, 32),
  suits: (profile, product) => wantsLargeTiles(profile, product) && hasQuads(profile) && !isWasteful(product, 32),
  precedence: 2,
};

/** Every variant, in the order in which they are measured. */
export const matmulVariants: readonly MatmulVariantRecord[] = [
  workgroup(64),
  workgroup(128),
  matrix('half', 64),
  matrix('half', 128),
  matrix('matrix', 64),
  matrix('matrix', 128),
  sliced,
  split,
  subgroup,
  subgroup32,
  plain,
  plain16,
  quad,
];

const byName = new Map(matmulVariants.map((record) => [record.name, record]));

/** The record of a variant. */
export const recordOf = (name: MatmulVariant): MatmulVariantRecord => byName.get(name)!;
