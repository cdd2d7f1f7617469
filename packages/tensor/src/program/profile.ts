import { workOf, type ProfileClock, type Work } from '@lapidary/kernels';
import { leastNanoseconds, type Ceiling } from './ceiling.js';
import type { ProgramPlan } from './plan.js';

/** What one dispatch of a program took. */
export interface DispatchTime extends Work {
  /** The op that asked for it: `matmul`, `attention backward`, `fused add`. */
  readonly op: string;
  /** The op's tensors: `f32[512, 640], bf16[2048, 640] → f32[512, 2048]`. */
  readonly types: string;
  /** The shader: `matmul/matmul`. */
  readonly kernel: string;
  readonly variant: string;
  readonly nanoseconds: number;
}

/** Calls of one kernel that one op made in one variant. Flops and bytes are those of all of them. */
export interface KernelTime extends Work {
  readonly op: string;
  /** Where they are told apart by them; see `DispatchTime`. */
  readonly types?: string;
  readonly kernel: string;
  readonly variant: string;
  readonly calls: number;
  readonly nanoseconds: number;
  /** Part of the whole, from 0 to 1. */
  readonly share: number;
  /**
   * The time that the device's ceiling allows, call by call, as a part of the time it took; null where no ceiling was given or no
   * time was measured.
   */
  readonly ofCeiling: number | null;
}

/** Where one run of a program spent its time. */
export interface ProgramProfile {
  readonly clock: ProfileClock;
  /** All kernels together. */
  readonly nanoseconds: number;
  /** Slowest first. */
  readonly kernels: readonly KernelTime[];
  /** Every dispatch, in the order they ran. */
  readonly dispatches: readonly DispatchTime[];
}

export interface ProfileOptions {
  /** Default: `gpu` where the device has timestamps, else `wall`. */
  readonly clock?: ProfileClock;
  /** What `measureCeiling` found, for `ofCeiling`. */
  readonly ceiling?: Ceiling;
}

/** A plan's dispatches with the nanoseconds that each took. */
export function timedDispatches(plan: ProgramPlan, nanoseconds: readonly number[]): DispatchTime[] {
  return plan.calls.map((call, i) => ({
    op: plan.callNames[i]!,
    types: plan.callTypes[i]!,
    kernel: call.shader,
    variant: call.variant,
    nanoseconds: nanoseconds[i]!,
    ...workOf(call),
  }));
}

export interface SumOptions {
  /** What `measureCeiling` found, for `ofCeiling`. */
  readonly ceiling?: Ceiling;
  /** Tells calls apart whose tensors have other types. */
  readonly byTypes?: boolean;
}

/** Adds up the dispatches of each kernel, slowest first. */
export function sumByKernel(
  dispatches: readonly DispatchTime[],
  { ceiling, byTypes = false }: SumOptions = {},
): KernelTime[] {
  const total = dispatches.reduce((sum, { nanoseconds }) => sum + nanoseconds, 0);
  const groups = new Map<string, DispatchTime[]>();
  for (const dispatch of dispatches) {
    const { op, kernel, variant, types } = dispatch;
    const key = [op, kernel, variant, ...(byTypes ? [types] : [])].join('|');
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [dispatch]);
    else group.push(dispatch);
  }
  return [...groups.values()]
    .map((group) => {
      const { op, kernel, variant, types } = group[0]!;
      const sum = (of: (dispatch: DispatchTime) => number) => group.reduce((all, dispatch) => all + of(dispatch), 0);
      const nanoseconds = sum((d) => d.nanoseconds);
      return {
        op,
        ...(byTypes && { types }),
        kernel,
        variant,
        calls: group.length,
        nanoseconds,
        share: total > 0 ? nanoseconds / total : 0,
        flops: sum((d) => d.flops),
        bytes: sum((d) => d.bytes),
        ofCeiling: ceiling && nanoseconds > 0 ? sum((d) => leastNanoseconds(d, ceiling)) / nanoseconds : null,
      };
    })
    .sort((a, b) => b.nanoseconds - a.nanoseconds);
}
