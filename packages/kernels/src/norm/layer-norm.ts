import type { DeviceProfile } from '@lapidary/gpu';
import type { KernelCall, Operand } from '../kernel-call.js';
import { shaderCall } from '../shader-call.js';
import { teamCall } from '../team.js';
import { bind, rowWindows } from '../windows.js';

interface Rows {
  readonly rows: number;
  readonly dim: number;
  readonly eps: number;
}

/** What is added to a result: f32 [rows, dim], or what its memory holds. */
interface Added<B> {
  readonly residual?: Operand<B>;
  readonly accumulate?: boolean;
}

/** Every operand f32; x and out [rows, dim], weight and bias [dim]. */
export interface LayerNormArgs<B> extends Rows, Added<B> {
  readonly x: Operand<B>;
  readonly weight: Operand<B>;
  readonly bias: Operand<B>;
  readonly out: Operand<B>;
}

/** out = (x − mean) / √(var + eps) · weight + bias (+ residual), row by row (`shaders/norm/layer_norm.wesl`). */
export function layerNorm<B>(profile: DeviceProfile, args: LayerNormArgs<B>): KernelCall<B>[] {
  return rowKernel(profile, args);
}

/** Every operand f32; x, dOut and dX [rows, dim], weight [dim]. */
export interface LayerNormBackwardArgs<B> extends Rows, Added<B> {
  readonly x: Operand<B>;
  readonly weight: Operand<B>;
  readonly dOut: Operand<B>;
  readonly dX: Operand<B>;
}

/** The gradient of `layerNorm` with respect to x, (+ residual); `dOut` and `dX` f32 [rows, dim]. */
export function layerNormBackward<B>(
  profile: DeviceProfile,
  { dX, ...args }: LayerNormBackwardArgs<B>,
): KernelCall<B>[] {
  return rowKernel(profile, { ...args, out: dX });
}

function rowKernel<B>(
  profile: DeviceProfile,
  args: Rows & Added<B> & { x: Operand<B>; out: Operand<B>; weight: Operand<B>; bias?: Operand<B>; dOut?: Operand<B> },
): KernelCall<B>[] {
  const { x, out, weight, bias, dOut, residual, accumulate = false, rows, dim, eps } = args;
  return rowWindows(rows, [dim * 4], profile.limits.maxStorageBufferBindingSize).map(({ start, count }) => {
    const at = start * dim * 4;
    const bytes = count * dim * 4;
    const team = teamCall(profile, 'layerNorm', count);
    return shaderCall('norm/layer_norm', {
      ...team,
      conditions: {
        ...team.conditions,
        VEC: dim % 4 === 0,
        BACKWARD: dOut !== undefined,
        RESIDUAL: residual !== undefined,
        ACCUMULATE: accumulate,
      },
      uniforms: { rows: count, dim, eps },
      bindings: {
        x: bind(x, 'read', bytes, at),
        out: bind(out, 'read_write', bytes, at),
        w: bind(weight, 'read', dim * 4),
        other: dOut ? bind(dOut, 'read', bytes, at) : bias && bind(bias, 'read', dim * 4),
        residual: residual && bind(residual, 'read', bytes, at),
      },
    });
  });
}

/** The gradients of `layerNorm` with respect to weight and bias, f32 [dim]; `workspace` is f32 [rows, 2]. */
export function layerNormParamGrad<B>(
  profile: DeviceProfile,
  args: Rows & {
    readonly x: Operand<B>;
    readonly dOut: Operand<B>;
    readonly dWeight: Operand<B>;
    readonly dBias: Operand<B>;
    readonly workspace: Operand<B>;
  },
): KernelCall<B>[] {
  const { x, dOut, dWeight, dBias, workspace, rows, dim, eps } = args;
  return rowWindows(rows, [dim * 4, 8], profile.limits.maxStorageBufferBindingSize).flatMap(({ start, count }) => {
    const at = start * dim * 4;
    const bytes = count * dim * 4;
    const team = teamCall(profile, 'layerNorm', count);
    return [
      shaderCall('norm/layer_norm', {
        ...team,
        conditions: { ...team.conditions, VEC: dim % 4 === 0, STATS: true },
        uniforms: { rows: count, dim, eps },
        bindings: { x: bind(x, 'read', bytes, at), stats: bind(workspace, 'read_write', count * 8, start * 8) },
      }),
      shaderCall('norm/layer_norm_param_grad', {
        conditions: { ACCUMULATE: start > 0 },
        uniforms: { rows: count, dim },
        bindings: {
          x: bind(x, 'read', bytes, at),
          dy: bind(dOut, 'read', bytes, at),
          stats: bind(workspace, 'read', count * 8, start * 8),
          dw: bind(dWeight, 'read_write', dim * 4),
          db: bind(dBias, 'read_write', dim * 4),
        },
        workgroups: [Math.ceil(dim / 32), 1, 1] as const,
        variant: 'plain',
      }),
    ];
  });
}
