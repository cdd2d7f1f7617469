import type { Ceiling, DispatchTime, KernelTime, ProfileClock } from '@lapidary/tensor';
import type { AdapterInfo } from './run-records.js';

/** Where the time of one optimiser step goes. Plain data. */
export interface TrainingProfile {
  /** The model, as its loader describes it. */
  readonly model: string;
  readonly adapter: AdapterInfo;
  /** What the kernels were timed by; `ceiling` too. */
  readonly clock: ProfileClock;
  /** Steps that were measured either way; times are medians of them. */
  readonly runs: number;
  /** The step's micro-batches. */
  readonly batches: readonly {
    readonly rows: number;
    /** Of each row, pictures' places and padding included. */
    readonly length: number;
    /** Of all rows together. */
    readonly pictures: number;
    /** Tokens that are no padding. */
    readonly tokens: number;
  }[];
  readonly ceiling: Ceiling;
  /** A step as training runs it, by the host's clock, milliseconds. */
  readonly stepMs: number;
  /** A step with its kernels timed, by the host's clock, milliseconds: profiling's own cost is the difference. */
  readonly profiledStepMs: number;
  /** All kernels of a step together, by `clock`. */
  readonly nanoseconds: number;
  /** Of all kernels together; see `KernelTime`. */
  readonly ofCeiling: number | null;
  /** Slowest first. */
  readonly kernels: readonly KernelTime[];
  /** Every dispatch of the step, in the order they run. */
  readonly dispatches: readonly DispatchTime[];
}
