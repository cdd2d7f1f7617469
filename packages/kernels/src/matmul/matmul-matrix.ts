import type { DeviceProfile } from '@lapidary/gpu';
import type { DType } from '../dtype.js';
import type { ShaderConstants } from '../shader-call.js';
import type { MatmulVariant } from './matmul-variant-names.js';

/** What `shaders/matmul/matmul_matrix.wesl` is compiled with. */
export interface MatrixLayout {
  readonly conditions: { readonly SPLIT_A: boolean; readonly SPLIT_B: boolean };
  readonly constants: ShaderConstants<'matmul/matmul_matrix'>;
}

/** Results of a subgroup, of a tile of 64 or 128. */
const blocks = { 64: { m: 32, n: 32 }, 128: { m: 64, n: 32 } } as const;

/** How a product by subgroup matrices is laid out on a device; undefined where it has none of that kind, or not the memory. */
export function matrixLayout(profile: DeviceProfile, variant: MatmulVariant, dtype: DType): MatrixLayout | undefined {
  const { subgroupMatrix: matrix, subgroupSize, limits } = profile;
  const half = variant.startsWith('half');
  if (matrix === undefined || !(half || variant.startsWith('matrix'))) return undefined;
  const tile = variant.endsWith('128') ? 128 : 64;
  const block = blocks[tile];
  const [splitA, splitB] = [!half, !half && dtype !== 'bf16' && dtype !== 'f16'];
  const depth = splitA || splitB ? 16 : 32;
  if (block.m % matrix.m !== 0 || block.n % matrix.n !== 0 || depth % matrix.k !== 0) return undefined;
  const subgroups = (tile / block.m) * (tile / block.n);
  // The larger of a slice's two directions, in f16; results in f32; two peaks, of 16 bytes each.
  const slice = tile * (depth + 8) * 2;
  const bytes = slice * (2 + Number(splitA) + Number(splitB)) + subgroups * matrix.m * matrix.n * 4 + 32;
  if (bytes > limits.maxComputeWorkgroupStorageSize) return undefined;
  const threads = subgroups * subgroupSize.max;
  if (threads > limits.maxComputeInvocationsPerWorkgroup) return undefined;
  // Threads bring eight values of a slice at a time, each as many.
  if ((tile * depth) % (8 * threads) !== 0) return undefined;
  return {
    conditions: { SPLIT_A: splitA, SPLIT_B: splitB },
    constants: {
      TILE: tile,
      BLOCK_M: block.m,
      BLOCK_N: block.n,
      MATRIX_M: matrix.m,
      MATRIX_N: matrix.n,
      MATRIX_K: matrix.k,
      SUBGROUP_SIZE: subgroupSize.max,
    },
  };
}
