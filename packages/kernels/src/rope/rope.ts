import type { DeviceProfile } from '@lapidary/gpu';
import { foldWorkgroups, type KernelCall, type Operand } from '../kernel-call.js';
import { shaderCall } from '../shader-call.js';
import { bind, rowWindows } from '../windows.js';

/** Operands of `rope`: each row holds the heads of one token. */
export interface RopeArgs<B> {
  /** f32 [rows, heads, headDim]. */
  readonly x: Operand<B>;
  /** i32 [rows, 4], the position third. */
  readonly tokenInfo: Operand<B>;
  /** f32 [rows, heads, headDim]. */
  readonly out: Operand<B>;
  readonly rows: number;
  readonly heads: number;
  /** Even, at most 512. */
  readonly headDim: number;
  readonly theta: number;
  /** Positions are divided by this. */
  readonly scalingFactor: number;
  /** The first so many of the headDim / 2 pairs turn, the others stay as they are. */
  readonly rotatedPairs: number;
  /** Turns the other way: the gradient. */
  readonly inverse: boolean;
}

/** 1 / theta^(2j/D) / factor, rounded to f32 step by step as PyTorch computes it, and 0 from pair `rotatedPairs` on. */
export function ropeInverseFrequencies(
  headDim: number,
  theta: number,
  scalingFactor: number,
  rotatedPairs: number,
): Float32Array {
  return Float32Array.from({ length: headDim / 2 }, (_, j) => {
    if (j >= rotatedPairs) return 0;
    const power = Math.fround(theta ** Math.fround((2 * j) / headDim));
    return Math.fround(Math.fround(1 / power) / scalingFactor);
  });
}

/**
 * Rotary position embedding in the half-split layout (`shaders/rope/rope.wesl`).
 * @throws RangeError where the head dimension is odd or above 512, or has no such number of pairs; BindingLimitError.
 */
export function rope<B>(profile: DeviceProfile, args: RopeArgs<B>): KernelCall<B>[] {
  const { x, tokenInfo, out, rows, heads, headDim, theta, scalingFactor, rotatedPairs, inverse } = args;
  const half = headDim / 2;
  if (!Number.isInteger(half) || half > 256)
    throw new RangeError(`rope: the head dimension must be even and at most 512, not ${headDim}`);
  if (!Number.isInteger(rotatedPairs) || rotatedPairs < 0 || rotatedPairs > half)
    throw new RangeError(`rope: of ${half} pairs ${rotatedPairs} cannot turn`);
  const rowBytes = heads * headDim * 4;
  const inv_freq = [...ropeInverseFrequencies(headDim, theta, scalingFactor, rotatedPairs)];
  return rowWindows(rows, [rowBytes, 16], profile.limits.maxStorageBufferBindingSize).map(({ start, count }) =>
    shaderCall('rope/rope', {
      conditions: { INVERSE: inverse },
      uniforms: { rows: count, heads, half, inv_freq },
      bindings: {
        x: bind(x, 'read', count * rowBytes, start * rowBytes),
        info: bind(tokenInfo, 'read', count * 16, start * 16),
        out: bind(out, 'read_write', count * rowBytes, start * rowBytes),
      },
      workgroups: foldWorkgroups(Math.ceil((count * half) / 64), profile.limits.maxComputeWorkgroupsPerDimension),
      variant: 'plain',
    }),
  );
}
