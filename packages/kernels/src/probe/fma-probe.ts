import type { DeviceProfile } from '@lapidary/gpu';
import { foldWorkgroups, type KernelCall, type Operand } from '../kernel-call.js';
import { shaderCall } from '../shader-call.js';
import { bind } from '../windows.js';

/** Chains of a thread, and their steps in a round: as the shader has them. */
const chains = 16;
const unrolled = 8;

/** Arguments of `fmaProbe`: n chains of 16, `rounds` rounds of 8 multiply-adds each. */
export interface FmaProbeArgs<B> {
  /** f32 [n], written. */
  readonly out: Operand<B>;
  readonly n: number;
  readonly rounds: number;
  readonly a: number;
  readonly b: number;
}

/**
 * Multiply-adds in registers, next to no memory: what a device computes at most, measured by the clock (`shaders/probe/fma.wesl`).
 * out[i] = Σ_j of x ← x·a + b, 8 · rounds times from i + j, j < 16.
 */
export function fmaProbe<B>(profile: DeviceProfile, { out, n, rounds, a, b }: FmaProbeArgs<B>): KernelCall<B>[] {
  return [
    shaderCall('probe/fma', {
      uniforms: { n, rounds, a, b },
      bindings: { out: bind(out, 'read_write', n * 4) },
      workgroups: foldWorkgroups(Math.ceil(n / 64), profile.limits.maxComputeWorkgroupsPerDimension),
      variant: 'plain',
      work: { flops: 2 * n * rounds * chains * unrolled },
    }),
  ];
}
