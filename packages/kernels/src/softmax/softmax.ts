import type { DeviceProfile } from '@lapidary/gpu';
import type { KernelCall, Operand } from '../kernel-call.js';
import { shaderCall } from '../shader-call.js';
import { teamCall } from '../team.js';
import { bind, rowWindows } from '../windows.js';

interface Rows {
  readonly rows: number;
  readonly dim: number;
}

/** out = softmax(x) along each row; f32 [rows, dim] (`shaders/softmax/softmax.wesl`). */
export function softmax<B>(
  profile: DeviceProfile,
  { x, out, ...rows }: Rows & { readonly x: Operand<B>; readonly out: Operand<B> },
): KernelCall<B>[] {
  return calls(profile, rows, x, out);
}

/** dX = y · (dOut − Σ y·dOut), with y = softmax(x); f32 [rows, dim]. */
export function softmaxBackward<B>(
  profile: DeviceProfile,
  { y, dOut, dX, ...rows }: Rows & { readonly y: Operand<B>; readonly dOut: Operand<B>; readonly dX: Operand<B> },
): KernelCall<B>[] {
  return calls(profile, rows, y, dX, dOut);
}

function calls<B>(
  profile: DeviceProfile,
  { rows, dim }: Rows,
  x: Operand<B>,
  out: Operand<B>,
  dOut?: Operand<B>,
): KernelCall<B>[] {
  return rowWindows(rows, [dim * 4], profile.limits.maxStorageBufferBindingSize).map(({ start, count }) => {
    const at = start * dim * 4;
    const bytes = count * dim * 4;
    const team = teamCall(profile, 'softmax', count);
    return shaderCall('softmax/softmax', {
      ...team,
      conditions: { ...team.conditions, VEC: dim % 4 === 0, BACKWARD: dOut !== undefined },
      uniforms: { rows: count, dim },
      bindings: {
        x: bind(x, 'read', bytes, at),
        out: bind(out, 'read_write', bytes, at),
        dy: dOut && bind(dOut, 'read', bytes, at),
      },
    });
  });
}
