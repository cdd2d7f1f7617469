import type { DType } from './dtype.js';
import type { MatmulProduct } from './matmul/matmul-product.js';

/** One storage binding of a dispatch: a window of a buffer. `B` is a GPUBuffer, or a planner's stand-in for one. */
export interface Binding<B> {
  readonly buffer: B;
  /** Bytes; a multiple of the device's `minStorageBufferOffsetAlignment` (256 is always safe). */
  readonly offset: number;
  /** Bytes bound; a multiple of 4, at most `maxStorageBufferBindingSize`. */
  readonly size: number;
  readonly access: 'read' | 'read_write';
}

/**
 * One dispatch, as plain data. A kernel is a function from shapes and operands to a list of these; running them on a bare
 * device (`runKernels`) or recording them into a program is somebody else's job.
 *
 * Bind group 0 holds the uniform struct at binding 0 and the storage bindings at 1, 2, … in order.
 */
export interface KernelCall<B> {
  /** Path of the root WESL module below `shaders/`, without the ending: `norm/rms_norm`. */
  readonly shader: string;
  /** Replaces the root module's text: for generated (fused) kernels. `shader` then only names it. */
  readonly source?: string;
  /** WESL `@if` conditions that are true. */
  readonly conditions?: Readonly<Record<string, boolean>>;
  /** Values of `import constants::NAME;`. */
  readonly constants?: Readonly<Record<string, number>>;
  /** The uniform struct's words, in order. At most 64 KiB. */
  readonly uniforms: Uint32Array;
  readonly bindings: readonly Binding<B>[];
  readonly workgroups: readonly [number, number, number];
  /** Which variant was chosen and why it is worth naming, e.g. `plain`, `subgroup`. */
  readonly variant: string;
  /** The variant's name in `DeviceProfile.disabledVariants`; left out where the kernel has no other to turn to. */
  readonly variantId?: string;
  /** The matrix product that it is, or is a part of, where its variant was chosen by that: `tuneKernels` can measure others. */
  readonly product?: MatmulProduct;
  /** What it takes, where its bindings do not tell: `workOf` gives the whole. */
  readonly work?: Partial<Work>;
}

/** What a dispatch takes. */
export interface Work {
  /** Multiplications and additions of matrix products; 0 for a kernel that makes none. */
  readonly flops: number;
  /** Bytes that are read and that are written, were each touched once. */
  readonly bytes: number;
}

/** What a dispatch takes: where the kernel says nothing else, no products, and all that is bound is read or written. */
export function workOf({ bindings, work }: Pick<KernelCall<unknown>, 'bindings' | 'work'>): Work {
  return { flops: 0, bytes: bindings.reduce((sum, { size }) => sum + size, 0), ...work };
}

/** A tensor's place in memory as kernels see it. Shapes are passed beside it. */
export interface Operand<B> {
  readonly buffer: B;
  /** Bytes from the start of the buffer; a multiple of 256. */
  readonly offset: number;
  readonly dtype: DType;
}

const scratch = new DataView(new ArrayBuffer(4));

/** The bits of a 32-bit float, for a uniform struct. */
export function f32Bits(value: number): number {
  scratch.setFloat32(0, value, true);
  return scratch.getUint32(0, true);
}

/**
 * Workgroup counts for `groups` workgroups in one row, folded into two dimensions where one is too long. Shaders recover
 * the linear index with `workgroup_id.x + workgroup_id.y * num_workgroups.x` and return when it is past the end.
 */
export function foldWorkgroups(groups: number, maxPerDimension: number): [number, number, number] {
  if (groups <= maxPerDimension) return [Math.max(groups, 1), 1, 1];
  const rows = Math.ceil(groups / maxPerDimension);
  return [Math.ceil(groups / rows), rows, 1];
}
