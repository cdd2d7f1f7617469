import type { DeviceProfile } from '@lapidary/gpu';
import { foldWorkgroups, type KernelCall, type Operand } from '../kernel-call.js';
import { shaderCall } from '../shader-call.js';
import { bind, BindingLimitError, rowWindows } from '../windows.js';

/** Operands of `stridedCopy`: the same indices of two tensors that lie differently. */
export interface StridedCopyArgs<B> {
  /** 4-byte elements (f32, i32, u32). */
  readonly x: Operand<B>;
  readonly out: Operand<B>;
  /** Indices copied; at most 6 dimensions. */
  readonly shape: readonly number[];
  /** Elements from one index to the next, for each dimension; 0 repeats. */
  readonly inStrides: readonly number[];
  /** Elements. */
  readonly inOffset: number;
  readonly outStrides: readonly number[];
  readonly outOffset: number;
}

const MAX_RANK = 6;

/**
 * out[…] = x[…] with strides on both sides: transpose, slice, concat, broadcast (`shaders/copy/strided_copy.wesl`).
 * @throws RangeError for more than 6 dimensions; BindingLimitError.
 */
export function stridedCopy<B>(profile: DeviceProfile, args: StridedCopyArgs<B>): KernelCall<B>[] {
  const { x, out, shape, inStrides, inOffset, outStrides, outOffset } = args;
  const count = shape.reduce((a, b) => a * b, 1);
  if (count === 0) return [];
  if (isContiguous(shape, inStrides) && isContiguous(shape, outStrides)) {
    return contiguousCopy(profile, x, out, count, inOffset, outOffset);
  }
  if (shape.length > MAX_RANK) throw new RangeError(`stridedCopy: ${shape.length} dimensions; at most ${MAX_RANK}`);
  return general(profile, args);
}

function isContiguous(shape: readonly number[], strides: readonly number[]): boolean {
  let expected = 1;
  for (let d = shape.length - 1; d >= 0; d--) {
    if (shape[d] !== 1 && strides[d] !== expected) return false;
    expected *= shape[d]!;
  }
  return true;
}

function contiguousCopy<B>(
  profile: DeviceProfile,
  x: Operand<B>,
  out: Operand<B>,
  count: number,
  inOffset: number,
  outOffset: number,
): KernelCall<B>[] {
  return rowWindows(count, [4], profile.limits.maxStorageBufferBindingSize - 512).map(({ start, count: n }) => {
    const from = window(inOffset + start);
    const to = window(outOffset + start);
    const vec = [n, from.rest, to.rest].every((v) => v % 4 === 0);
    const unit = vec ? 4 : 1;
    const threads = n / unit;
    return shaderCall('copy/strided_copy', {
      conditions: { VEC: vec },
      uniforms: {
        ...{ count: threads, in_offset: from.rest / unit, out_offset: to.rest / unit, rank: 1 },
        ...{ dims: [threads], in_strides: [1], out_strides: [1] },
      },
      bindings: {
        x: bind(x, 'read', (from.rest + n) * 4, from.bytes),
        out: bind(out, 'read_write', (to.rest + n) * 4, to.bytes),
      },
      workgroups: foldWorkgroups(Math.ceil(threads / 64), profile.limits.maxComputeWorkgroupsPerDimension),
      variant: vec ? 'vec4' : 'scalar',
    });
  });
}

/** The 256-byte aligned start at or before an element, and the elements from there to it. */
function window(element: number): { bytes: number; rest: number } {
  const bytes = Math.floor((element * 4) / 256) * 256;
  return { bytes, rest: element - bytes / 4 };
}

/** Elements from the first to the last copied, both included. */
function spanOf(shape: readonly number[], strides: readonly number[]): number {
  return shape.reduce((sum, d, i) => sum + (d - 1) * strides[i]!, 1);
}

function general<B>(profile: DeviceProfile, args: StridedCopyArgs<B>): KernelCall<B>[] {
  const { x, out, shape, inStrides, inOffset, outStrides, outOffset } = args;
  const from = window(inOffset);
  const to = window(outOffset);
  const count = shape.reduce((a, b) => a * b, 1);
  const inElements = from.rest + spanOf(shape, inStrides);
  const outElements = to.rest + spanOf(shape, outStrides);
  if (Math.max(inElements, outElements) * 4 > profile.limits.maxStorageBufferBindingSize) return halves(profile, args);
  const last = shape.length - 1;
  const outer = [...inStrides.slice(0, last), ...outStrides.slice(0, last)];
  const vec =
    last >= 0 &&
    inStrides[last] === 1 &&
    outStrides[last] === 1 &&
    [shape[last]!, from.rest, to.rest, ...outer].every((v) => v % 4 === 0);
  const unit = vec ? 4 : 1;
  const inUnits = (strides: readonly number[]) => strides.map((v, i) => (i === last ? v : v / unit));
  const dims = shape.map((d, i) => (i === last ? d / unit : d));
  const threads = dims.reduce((a, b) => a * b, 1);
  return [
    shaderCall('copy/strided_copy', {
      conditions: { VEC: vec },
      uniforms: {
        ...{ count: threads, in_offset: from.rest / unit, out_offset: to.rest / unit, rank: shape.length },
        ...{ dims, in_strides: inUnits(inStrides), out_strides: inUnits(outStrides) },
      },
      bindings: {
        x: bind(x, 'read', inElements * 4, from.bytes),
        out: bind(out, 'read_write', outElements * 4, to.bytes),
      },
      workgroups: foldWorkgroups(Math.ceil(threads / 64), profile.limits.maxComputeWorkgroupsPerDimension),
      variant: vec ? 'vec4' : 'scalar',
      // Less than what is bound where rows are picked from wider ones, and where a value is repeated.
      work: { bytes: Math.min(inElements - from.rest, count) * 4 + Math.min(outElements - to.rest, count) * 4 },
    }),
  ];
}

/** Cuts the dimension that spans the most memory, on the side that spans more, in two. */
function halves<B>(profile: DeviceProfile, args: StridedCopyArgs<B>): KernelCall<B>[] {
  const { shape, inStrides, inOffset, outStrides, outOffset } = args;
  const strides = spanOf(shape, inStrides) >= spanOf(shape, outStrides) ? inStrides : outStrides;
  const reach = shape.map((d, i) => (d - 1) * strides[i]!);
  const axis = reach.indexOf(Math.max(...reach));
  if (!((reach[axis] ?? 0) > 0)) {
    throw new BindingLimitError(
      `stridedCopy: one value does not fit a binding of ${profile.limits.maxStorageBufferBindingSize} bytes`,
    );
  }
  // Multiples of four, where there are that many, keep 16-byte copies possible.
  const exact = Math.ceil(shape[axis]! / 2);
  const first = exact > 4 ? Math.ceil(exact / 4) * 4 : exact;
  const part = (start: number, count: number): StridedCopyArgs<B> => ({
    ...args,
    shape: shape.map((d, i) => (i === axis ? count : d)),
    inOffset: inOffset + start * inStrides[axis]!,
    outOffset: outOffset + start * outStrides[axis]!,
  });
  return [...general(profile, part(0, first)), ...general(profile, part(first, shape[axis]! - first))];
}
