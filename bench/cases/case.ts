import type { Params } from '../contenders/protocol.js';

/** `small` ends soon on an adapter that runs on the CPU; `full` has the sizes of released models, for GPUs. */
export type Size = 'small' | 'full';

/** One thing to measure. Cases are data: what they do is each contender's to say, by `op`. */
export interface BenchCase {
  readonly family: string;
  /** Tells it from the others of its family. */
  readonly name: string;
  readonly op: string;
  readonly params: Params;
  /** What one run takes: a rate is printed for it. Multiplications and additions of matrices only, those that are needed. */
  readonly work?: { readonly flops: number } | { readonly bytes: number } | { readonly tokens: number };
  /** Largest difference between two contenders' results, relative to the results' root mean square. */
  readonly tolerance: number;
  /** So many times faster than the better WebGPU peer it should be, on lavapipe (on SwiftShader: 2 everywhere). */
  readonly target?: number;
  /** Instead of being timed, it runs so often, and memory is looked at. */
  readonly memoryRuns?: number;
  /** Instead of being timed, it is prepared only; its results are what `StartTimes` says, in milliseconds. */
  readonly isStart?: boolean;
}

export const caseName = ({ family, name }: BenchCase): string => `${family} ${name}`;
