import type { DeviceProfile } from '@lapidary/gpu';
import { foldWorkgroups, words, type KernelCall, type Operand } from './kernel-call.js';
import { bind, BindingLimitError, rowWindows } from './windows.js';

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

/** out[…] = x[…] with strides on both sides: transpose, slice, concat, broadcast (`shaders/copy/strided_copy.wesl`). */
export function stridedCopy<B>(profile: DeviceProfile, args: StridedCopyArgs<B>): KernelCall<B>[] {
  const { x, out, shape, inStrides, inOffset, outStrides, outOffset } = args;
  const count = shape.reduce((a, b) => a * b, 1);
  if (count === 0) return [];
  const limit = profile.limits.maxStorageBufferBindingSize;
  if (isContiguous(shape, inStrides) && isContiguous(shape, outStrides)) {
    return contiguousCopy(profile, x, out, count, inOffset, outOffset);
  }
  if (shape.length > MAX_RANK) throw new RangeError(`stridedCopy: ${shape.length} dimensions; at most ${MAX_RANK}`);
  const end = (strides: readonly number[], offset: number) => offset + 1 + shape.reduce((sum, d, i) => sum + (d - 1) * strides[i]!, 0);
  const inEnd = end(inStrides, inOffset);
  const outEnd = end(outStrides, outOffset);
  if (Math.max(inEnd, outEnd) * 4 > limit) return splitOutermost(profile, args, limit);
  return [general(profile, args, inEnd, outEnd)];
}

function isContiguous(shape: readonly number[], strides: readonly number[]): boolean {
  let expected = 1;
  for (let d = shape.length - 1; d >= 0; d--) {
    if (shape[d] !== 1 && strides[d] !== expected) return false;
    expected *= shape[d]!;
  }
  return true;
}

function contiguousCopy<B>(profile: DeviceProfile, x: Operand<B>, out: Operand<B>, count: number, inOffset: number, outOffset: number): KernelCall<B>[] {
  return rowWindows(count, [4], profile.limits.maxStorageBufferBindingSize - 512).map(({ start, count: n }) => {
    const from = window(inOffset + start);
    const to = window(outOffset + start);
    const vec = [n, from.rest, to.rest].every((v) => v % 4 === 0);
    const threads = vec ? n / 4 : n;
    return {
      shader: 'copy/strided_copy',
      conditions: { CONTIGUOUS: vec },
      uniforms: words(threads, from.rest, to.rest, 1, ...pad([n]), ...pad([1]), ...pad([1])),
      bindings: [bind(x, 'read', (from.rest + n) * 4, from.bytes), bind(out, 'read_write', (to.rest + n) * 4, to.bytes)],
      workgroups: foldWorkgroups(Math.ceil(threads / 64), profile.limits.maxComputeWorkgroupsPerDimension),
      variant: vec ? 'vec4' : 'scalar',
    };
  });
}

/** The 256-byte aligned start at or before an element, and the elements from there to it. */
function window(element: number): { bytes: number; rest: number } {
  const bytes = Math.floor((element * 4) / 256) * 256;
  return { bytes, rest: element - bytes / 4 };
}

const pad = (v: readonly number[]) => [...v, ...new Array<number>(8 - v.length).fill(0)];

function general<B>(profile: DeviceProfile, args: StridedCopyArgs<B>, inEnd: number, outEnd: number): KernelCall<B> {
  const { x, out, shape, inStrides, inOffset, outStrides, outOffset } = args;
  const count = shape.reduce((a, b) => a * b, 1);
  const from = window(inOffset);
  const to = window(outOffset);
  return {
    shader: 'copy/strided_copy',
    uniforms: words(count, from.rest, to.rest, shape.length, ...pad(shape), ...pad(inStrides), ...pad(outStrides)),
    bindings: [bind(x, 'read', inEnd * 4 - from.bytes, from.bytes), bind(out, 'read_write', outEnd * 4 - to.bytes, to.bytes)],
    workgroups: foldWorkgroups(Math.ceil(count / 64), profile.limits.maxComputeWorkgroupsPerDimension),
    variant: 'scalar',
  };
}

/** Copies slices of the outermost dimension one by one, each small enough for a binding. */
function splitOutermost<B>(profile: DeviceProfile, args: StridedCopyArgs<B>, limit: number): KernelCall<B>[] {
  const { shape, inStrides, outStrides } = args;
  const axis = shape.findIndex((d) => d > 1);
  const span = (strides: readonly number[]) => (1 + shape.reduce((sum, d, i) => sum + (i <= axis ? 0 : (d - 1) * strides[i]!), 0)) * 4 + 256;
  if (axis < 0 || Math.max(span(inStrides), span(outStrides)) > limit) {
    const inner = shape.findIndex((d, i) => i > axis && d > 1);
    if (inner < 0) throw new BindingLimitError(`stridedCopy: one row of [${shape.join(', ')}] does not fit a binding of ${limit} bytes`);
  }
  return Array.from({ length: shape[axis]! }, (_, i) => {
    const part: StridedCopyArgs<B> = {
      ...args, shape: shape.map((d, a) => (a === axis ? 1 : d)),
      inOffset: args.inOffset + i * inStrides[axis]!, outOffset: args.outOffset + i * outStrides[axis]!,
    };
    const from = window(part.inOffset);
    const to = window(part.outOffset);
    const size = (strides: readonly number[]) => part.shape.reduce((sum, d, a) => sum + (d - 1) * strides[a]!, 1);
    const inEnd = part.inOffset + size(inStrides);
    const outEnd = part.outOffset + size(outStrides);
    if (Math.max(inEnd * 4 - from.bytes, outEnd * 4 - to.bytes) > limit) return splitOutermost(profile, part, limit);
    return [general(profile, part, inEnd, outEnd)];
  }).flat();
}
