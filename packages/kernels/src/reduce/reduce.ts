import type { DeviceProfile } from '@lapidary/gpu';
import { foldWorkgroups, type KernelCall, type Operand } from '../kernel-call.js';
import { shaderCall } from '../shader-call.js';
import { BindingLimitError, bind } from '../windows.js';

/** A tensor [outer, length, inner], of which the middle dimension is reduced. */
export interface ReduceShape {
  readonly outer: number;
  /** Elements reduced to one. */
  readonly length: number;
  readonly inner: number;
}

/** Operands of `reduce`. */
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
/** Values of x in a part at most: well below the smallest binding a device may have (2^25 values), so that windows can be made. */
const MAX_PART_VALUES = 1 << 24;
const ALIGNMENT = 256;

function partsOf({ outer, length, inner }: ReduceShape): { parts: number; partLength: number } {
  const forThreads = Math.min(Math.ceil(length / MIN_PART), Math.ceil(PARTS / (outer * inner)));
  const forBindings = Math.ceil((length * inner) / MAX_PART_VALUES);
  const partLength = Math.ceil(length / Math.max(forThreads, forBindings, 1));
  return { parts: Math.ceil(length / partLength), partLength };
}

/** f32 elements of workspace that `reduce` needs: partial results of few but long reductions; 0 for the rest. */
export function reduceWorkspaceElements(shape: ReduceShape): number {
  if (shape.length === 0) return 0;
  const { parts } = partsOf(shape);
  return parts === 1 ? 0 : shape.outer * parts * shape.inner;
}

interface Stage<B> extends ReduceShape {
  readonly x: Operand<B>;
  readonly out: Operand<B>;
  readonly parts: number;
  readonly partLength: number;
  readonly op: ReduceArgs<B>['op'];
  readonly scale: number;
}

/** x [outer, length, inner] → out [outer, parts, inner], in windows of whole rows of x, or of whole parts where a row is too long. */
function stage<B>(profile: DeviceProfile, args: Stage<B>): KernelCall<B>[] {
  const { outer, length, inner, parts, partLength } = args;
  // A window may have to begin up to 255 bytes early.
  const fits = profile.limits.maxStorageBufferBindingSize / 4 - ALIGNMENT / 4;
  const rows = Math.min(outer, Math.floor(fits / (length * inner)));
  const calls: KernelCall<B>[] = [];
  if (rows > 0) {
    for (let o = 0; o < outer; o += rows) {
      const here = Math.min(rows, outer - o);
      calls.push(dispatch(profile, args, o * length * inner, length, o * parts * inner, here, parts));
    }
    return calls;
  }
  const partsThatFit = Math.floor(fits / (partLength * inner));
  if (partsThatFit === 0) {
    const bytes = profile.limits.maxStorageBufferBindingSize;
    throw new BindingLimitError(`reduce: ${partLength} × ${inner} values do not fit a binding of ${bytes} bytes`);
  }
  for (let o = 0; o < outer; o++) {
    for (let part = 0; part < parts; part += partsThatFit) {
      const first = part * partLength;
      const here = Math.min(partsThatFit, parts - part);
      const xStart = (o * length + first) * inner;
      const outStart = (o * parts + part) * inner;
      calls.push(dispatch(profile, args, xStart, Math.min(here * partLength, length - first), outStart, 1, here));
    }
  }
  return calls;
}

/** Reduces `outer` rows of `length` × inner from element xStart on. */
function dispatch<B>(
  profile: DeviceProfile,
  args: Stage<B>,
  xStart: number,
  length: number,
  outStart: number,
  outer: number,
  parts: number,
): KernelCall<B> {
  const { x, out, inner, partLength, op, scale } = args;
  const results = outer * parts * inner;
  const xRest = xStart % (ALIGNMENT / 4);
  const outRest = outStart % (ALIGNMENT / 4);
  return shaderCall('reduce/reduce', {
    conditions: { MAX: op === 'max', MIN: op === 'min' },
    uniforms: {
      ...{ x_start: xRest, length, inner, parts },
      ...{ part_length: partLength, scale, results, out_start: outRest },
    },
    bindings: {
      x: bind(x, 'read', (xRest + outer * length * inner) * 4, (xStart - xRest) * 4),
      out: bind(out, 'read_write', (outRest + results) * 4, (outStart - outRest) * 4),
    },
    workgroups: foldWorkgroups(Math.ceil(results / 32), profile.limits.maxComputeWorkgroupsPerDimension),
    variant: 'plain',
  });
}

/**
 * out[o, i] = op over l of x[o, l, i] (`shaders/reduce/reduce.wesl`); the same order every time.
 * @throws RangeError without the workspace it needs, or with a length of 0; BindingLimitError.
 */
export function reduce<B>(profile: DeviceProfile, args: ReduceArgs<B>): KernelCall<B>[] {
  const { x, out, outer, length, inner, op, workspace } = args;
  if (outer * inner === 0) return [];
  if (length === 0) throw new RangeError('reduce: nothing to reduce: length is 0');
  const { parts, partLength } = partsOf(args);
  const scale = op === 'mean' ? 1 / length : 1;
  if (parts === 1) return stage(profile, { x, out, outer, length, inner, parts, partLength, op, scale });
  if (!workspace) throw new RangeError('reduce: a workspace is needed; ask reduceWorkspaceElements how long');
  return [
    ...stage(profile, { x, out: workspace, outer, length, inner, parts, partLength, op, scale: 1 }),
    ...stage(profile, { x: workspace, out, outer, length: parts, inner, parts: 1, partLength: parts, op, scale }),
  ];
}
