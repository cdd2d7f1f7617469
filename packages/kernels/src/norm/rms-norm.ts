import type { DeviceProfile } from '@lapidary/gpu';
import { byteLength } from '../dtype.js';
import type { KernelCall, Operand } from '../kernel-call.js';
import { shaderCall } from '../shader-call.js';
import { teamCall } from '../team.js';
import { weightConditions } from '../weight-conditions.js';
import { bind, rowWindows } from '../windows.js';

/** Operands of `rmsNorm`. */
export interface RmsNormArgs<B> {
  /** f32 [rows, dim]. */
  readonly x: Operand<B>;
  /** f32, f16 or bf16 [dim]. Left out: zeros, so that `weightOffset` is what all is multiplied by. */
  readonly weight?: Operand<B>;
  /** f32 [rows, dim]. */
  readonly out: Operand<B>;
  /** f32 [rows, dim], added to the result. */
  readonly residual?: Operand<B>;
  /** Adds to what `out` holds instead of overwriting it. */
  readonly accumulate?: boolean;
  readonly rows: number;
  readonly dim: number;
  readonly eps: number;
  /** Added to the weight (Gemma: 1). */
  readonly weightOffset: number;
}

/** out = x · rsqrt(mean(x²) + eps) · (weight + weightOffset) + residual, row by row (`shaders/norm/rms_norm.wesl`). */
export function rmsNorm<B>(profile: DeviceProfile, args: RmsNormArgs<B>): KernelCall<B>[] {
  return rowKernel(profile, { ...args, dOut: undefined });
}

/** The gradient of `rmsNorm` with respect to x, + residual; `dOut` and `dX` f32 [rows, dim]. */
export function rmsNormBackward<B>(
  profile: DeviceProfile,
  { dX, ...args }: Omit<RmsNormArgs<B>, 'out'> & { readonly dOut: Operand<B>; readonly dX: Operand<B> },
): KernelCall<B>[] {
  return rowKernel(profile, { ...args, out: dX });
}

function rowKernel<B>(
  profile: DeviceProfile,
  args: RmsNormArgs<B> & { readonly dOut: Operand<B> | undefined },
): KernelCall<B>[] {
  const { x, weight, out, dOut, residual, accumulate = false, rows, dim, eps, weightOffset } = args;
  const vec = dim % 4 === 0;
  return rowWindows(rows, [dim * 4], profile.limits.maxStorageBufferBindingSize).map(({ start, count }) => {
    const at = start * dim * 4;
    const bytes = count * dim * 4;
    const team = teamCall(profile, dOut ? 'rmsNormBackward' : 'rmsNorm', count);
    return shaderCall('norm/rms_norm', {
      ...team,
      conditions: {
        ...team.conditions,
        ...(weight && { WEIGHT: true, ...weightConditions(weight.dtype, vec ? 4 : 1) }),
        VEC: vec,
        BACKWARD: dOut !== undefined,
        RESIDUAL: residual !== undefined,
        ACCUMULATE: accumulate,
      },
      uniforms: { rows: count, dim, eps, offset: weightOffset },
      bindings: {
        x: bind(x, 'read', bytes, at),
        weights: weight && bind(weight, 'read', byteLength(weight.dtype, dim)),
        out: bind(out, 'read_write', bytes, at),
        dy: dOut && bind(dOut, 'read', bytes, at),
        residual: residual && bind(residual, 'read', bytes, at),
      },
    });
  });
}

/** Operands of `rmsNormWeightGrad`. */
export interface RmsNormWeightGradArgs<B> {
  /** f32 [rows, dim]. */
  readonly x: Operand<B>;
  readonly dOut: Operand<B>;
  /** f32 [dim]. */
  readonly dWeight: Operand<B>;
  /** f32 [rows], scratch. */
  readonly workspace: Operand<B>;
  readonly rows: number;
  readonly dim: number;
  readonly eps: number;
}

/** The gradient of `rmsNorm` with respect to its weight; the same sum in the same order every time. */
export function rmsNormWeightGrad<B>(profile: DeviceProfile, args: RmsNormWeightGradArgs<B>): KernelCall<B>[] {
  const { x, dOut, dWeight, workspace, rows, dim, eps } = args;
  return rowWindows(rows, [dim * 4, 4], profile.limits.maxStorageBufferBindingSize).flatMap(({ start, count }) => {
    const at = start * dim * 4;
    const bytes = count * dim * 4;
    const team = teamCall(profile, 'rmsNormBackward', count);
    return [
      shaderCall('norm/rms_norm', {
        ...team,
        conditions: { ...team.conditions, VEC: dim % 4 === 0, RSTD: true },
        uniforms: { rows: count, dim, eps, offset: 0 },
        bindings: { x: bind(x, 'read', bytes, at), rstd: bind(workspace, 'read_write', count * 4, start * 4) },
      }),
      shaderCall('norm/rms_norm_weight_grad', {
        conditions: { ACCUMULATE: start > 0 },
        uniforms: { rows: count, dim },
        bindings: {
          x: bind(x, 'read', bytes, at),
          dy: bind(dOut, 'read', bytes, at),
          rstd: bind(workspace, 'read', count * 4, start * 4),
          dw: bind(dWeight, 'read_write', dim * 4),
        },
        workgroups: [Math.ceil(dim / 32), 1, 1] as const,
        variant: 'plain',
      }),
    ];
  });
}
