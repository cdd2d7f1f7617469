import type { DeviceProfile } from '@lapidary/gpu';
import { foldWorkgroups, type KernelCall, type Operand } from '../kernel-call.js';
import { shaderCall } from '../shader-call.js';
import { reduce } from './reduce.js';
import { bind } from '../windows.js';

/** Values that one thread adds up: the same number in `shaders/reduce/sum_of_squares.wesl` and `sum_within.wesl`. */
const PART = 1024;

/** Operands of `sumOfSquares`. */
export interface SumOfSquaresArgs<B> {
  /** f32 [n] each. */
  readonly xs: readonly { readonly x: Operand<B>; readonly n: number }[];
  /** f32 [1]. */
  readonly out: Operand<B>;
  /** f32, `sumOfSquaresWorkspaceElements(…)` long. */
  readonly workspace: Operand<B>;
}

/** How many partial sums each floor of the tree holds, from the squares up to at most `PART`. */
function floorsOf(ns: readonly number[]): number[] {
  const floors = [ns.reduce((total, n) => total + Math.ceil(n / PART), 0)];
  while (floors.at(-1)! > PART) floors.push(Math.ceil(floors.at(-1)! / PART));
  return floors;
}

/** Where a floor begins in the workspace: a multiple of 64 values, so that it can be bound. */
const padded = (elements: number) => Math.max(64, Math.ceil(elements / 64) * 64);

/** f32 elements of workspace that `sumOfSquares` needs for tensors of these sizes. */
export function sumOfSquaresWorkspaceElements(ns: readonly number[]): number {
  return floorsOf(ns).reduce((total, floor) => total + padded(floor), 0);
}

/**
 * Σ x² over every element of every tensor, into one f32: the squared global norm. NaN and infinity go through. A tree of sums
 * of 1024 values each, so the result is accurate and the same every time.
 */
export function sumOfSquares<B>(profile: DeviceProfile, { xs, out, workspace }: SumOfSquaresArgs<B>): KernelCall<B>[] {
  const { maxStorageBufferBindingSize: limit, maxComputeWorkgroupsPerDimension } = profile.limits;
  const groups = (parts: number) => foldWorkgroups(Math.ceil(parts / 32), maxComputeWorkgroupsPerDimension);
  const calls: KernelCall<B>[] = [];
  // Windows of whole parts, which begin at multiples of 4096 bytes.
  const window = Math.floor(limit / 4 / PART) * PART;
  let slot = 0;
  for (const { x, n } of xs) {
    for (let start = 0; start < n; start += window) {
      const here = Math.min(window, n - start);
      const parts = Math.ceil(here / PART);
      const rest = slot % 64;
      calls.push(
        shaderCall('reduce/sum_of_squares', {
          conditions: { VEC: here % 4 === 0 },
          uniforms: { n: here, parts, out_start: rest },
          bindings: {
            x: bind(x, 'read', here * 4, start * 4),
            out: bind(workspace, 'read_write', (rest + parts) * 4, (slot - rest) * 4),
          },
          workgroups: groups(parts),
          variant: 'plain',
        }),
      );
      slot += parts;
    }
  }
  const floors = floorsOf(xs.map(({ n }) => n));
  let from = 0;
  for (let i = 1; i < floors.length; i++) {
    const to = from + padded(floors[i - 1]!);
    calls.push(
      shaderCall('reduce/sum_within', {
        uniforms: { start: 0, n: floors[i - 1]!, to: to - from, parts: floors[i]! },
        bindings: { sums: bind(workspace, 'read_write', (to - from + floors[i]!) * 4, from * 4) },
        workgroups: groups(floors[i]!),
        variant: 'plain',
      }),
    );
    from = to;
  }
  const length = floors.at(-1)!;
  if (length === 0)
    return [
      shaderCall('copy/fill', {
        uniforms: { n: 1, value: 0 },
        bindings: { out: bind(out, 'read_write', 4) },
        workgroups: [1, 1, 1],
        variant: 'plain',
      }),
    ];
  const top = { ...workspace, offset: workspace.offset + from * 4 };
  return [...calls, ...reduce(profile, { x: top, out, outer: 1, length, inner: 1, op: 'sum' })];
}
