import type { DeviceProfile } from '@lapidary/gpu';
import { f32Bits, foldWorkgroups, words, type KernelCall, type Operand } from './kernel-call.js';
import { bind, rowWindows } from './windows.js';

export interface ReduceShape {
  readonly outer: number;
  /** Elements reduced to one. */
  readonly length: number;
  readonly inner: number;
}

export interface ReduceArgs<B> extends ReduceShape {
  /** f32 [outer, length, inner]. */
  readonly x: Operand<B>;
  /** f32 [outer, inner]. */
  readonly out: Operand<B>;
  readonly op: 'sum' | 'mean' | 'max' | 'min';
  /** f32, `reduceWorkspaceElements(…)` long. */
  readonly workspace?: Operand<B>;
}

/** Threads that a long reduction is shared among, and the least a thread is given. */
const PARTS = 1024;
const MIN_PART = 1024;

function partsOf({ outer, length, inner }: ReduceShape): { parts: number; partLength: number } {
  const wanted = Math.min(Math.ceil(length / MIN_PART), Math.ceil(PARTS / (outer * inner)));
  const partLength = Math.ceil(length / Math.max(wanted, 1) / 64) * 64;
  return wanted <= 1 ? { parts: 1, partLength: length } : { parts: Math.ceil(length / partLength), partLength };
}

/** f32 elements of workspace that `reduce` needs: partial results of few but long reductions; 0 for the rest. */
export function reduceWorkspaceElements(shape: ReduceShape): number {
  const { parts } = partsOf(shape);
  return parts === 1 ? 0 : shape.outer * parts * shape.inner;
}

interface Stage<B> extends ReduceShape {
  readonly x: Operand<B>;
  readonly out: Operand<B>;
  readonly parts: number;
  readonly partLength: number;
  readonly op: ReduceArgs<B>['op'] | 'squares';
  readonly scale: number;
}

function stage<B>(profile: DeviceProfile, args: Stage<B>): KernelCall<B>[] {
  const { x, out, outer, length, inner, parts, partLength, op, scale } = args;
  const inBytes = length * inner * 4;
  const outBytes = parts * inner * 4;
  return rowWindows(outer, [inBytes, outBytes], profile.limits.maxStorageBufferBindingSize).map(({ start, count }) => {
    const results = count * parts * inner;
    return {
      shader: 'reduce/reduce',
      conditions: { MAX: op === 'max', MIN: op === 'min', SQUARES: op === 'squares' },
      uniforms: words(count, length, inner, parts, partLength, f32Bits(scale), results, 0),
      bindings: [bind(x, 'read', count * inBytes, start * inBytes), bind(out, 'read_write', count * outBytes, start * outBytes)],
      workgroups: foldWorkgroups(Math.ceil(results / 32), profile.limits.maxComputeWorkgroupsPerDimension),
      variant: 'plain',
    };
  });
}

/** out[o, i] = op over l of x[o, l, i] (`shaders/reduce/reduce.wesl`); the same order every time. */
export function reduce<B>(profile: DeviceProfile, args: ReduceArgs<B>): KernelCall<B>[] {
  const { x, out, outer, length, inner, op, workspace } = args;
  const { parts, partLength } = partsOf(args);
  const scale = op === 'mean' ? 1 / length : 1;
  const limit = profile.limits.maxStorageBufferBindingSize;
  if (parts === 1) return stage(profile, { x, out, outer, length, inner, parts, partLength, op, scale });
  if (!workspace) throw new RangeError('reduce: a workspace is needed; ask reduceWorkspaceElements how long');
  const second = stage(profile, { x: workspace, out, outer, length: parts, inner, parts: 1, partLength: parts, op, scale });
  if (outer * length * inner * 4 <= limit || outer > 1) {
    return [...stage(profile, { x, out: workspace, outer, length, inner, parts, partLength, op, scale: 1 }), ...second];
  }
  // One reduction longer than a binding: windows of whole parts.
  const perWindow = Math.max(1, Math.floor(limit / (partLength * inner * 4) / 64) * 64);
  const first: KernelCall<B>[] = [];
  for (let part = 0; part < parts; part += perWindow) {
    const here = Math.min(perWindow, parts - part);
    const from = part * partLength;
    first.push(...stage(profile, {
      x: { ...x, offset: x.offset + from * inner * 4 }, out: { ...workspace, offset: workspace.offset + part * inner * 4 },
      outer: 1, length: Math.min(here * partLength, length - from), inner, parts: here, partLength, op, scale: 1,
    }));
  }
  return [...first, ...second];
}

/** 256 bytes of partial sums for each window of each tensor, so that every window begins where a binding may. */
const SLOT = 64;
const SQUARES_WINDOW = 1 << 22;

function squareWindows(n: number): number {
  return Math.max(1, Math.ceil(n / SQUARES_WINDOW));
}

/** f32 elements of workspace that `sumOfSquares` needs for tensors of these sizes. */
export function sumOfSquaresWorkspaceElements(ns: readonly number[]): number {
  return Math.max(1, ns.reduce((total, n) => total + squareWindows(n), 0)) * SLOT;
}

/**
 * Σ x² over every element of every tensor, into one f32: the squared global norm. NaN and infinity go through. Each tensor is
 * summed in up to 64 parts at a time, and the parts in order, so the result is the same every time.
 */
export function sumOfSquares<B>(
  profile: DeviceProfile,
  { xs, out, workspace }: { readonly xs: readonly { readonly x: Operand<B>; readonly n: number }[]; readonly out: Operand<B>; readonly workspace: Operand<B> },
): KernelCall<B>[] {
  const calls: KernelCall<B>[] = [];
  let slots = 0;
  for (const { x, n } of xs) {
    for (let start = 0; start < n; start += SQUARES_WINDOW) {
      const length = Math.min(SQUARES_WINDOW, n - start);
      // Always 64 parts: those beyond a short tensor's end are empty and write 0.
      calls.push(...stage(profile, {
        x: { ...x, offset: x.offset + start * 4 }, out: { ...workspace, offset: workspace.offset + slots * SLOT * 4 },
        outer: 1, length, inner: 1, parts: SLOT, partLength: Math.ceil(length / SLOT), op: 'squares', scale: 1,
      }));
      slots++;
    }
  }
  const total = slots * SLOT;
  calls.push(...stage(profile, { x: workspace, out, outer: 1, length: total, inner: 1, parts: 1, partLength: total, op: 'sum', scale: 1 }));
  return calls;
}
