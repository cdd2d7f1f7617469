import type { DeviceProfile } from '@lapidary/gpu';
import { foldWorkgroups, type KernelCall, type Operand } from '../kernel-call.js';
import { shaderCall } from '../shader-call.js';
import { bind, rowWindows } from '../windows.js';

/** Operands of `scatterRows`. */
export interface ScatterRowsArgs<B> {
  /** i32 [count], all different; one outside the target is passed over. */
  readonly ids: Operand<B>;
  /** f32 [count, dim]. */
  readonly rows: Operand<B>;
  /** f32 [outRows, dim], other rows untouched. */
  readonly out: Operand<B>;
  readonly count: number;
  readonly dim: number;
  readonly outRows: number;
}

/**
 * out[ids[r], :] = rows[r, :], in place (`shaders/copy/scatter_rows.wesl`). Rows and targets beyond one binding are walked in windows.
 * @throws BindingLimitError
 */
export function scatterRows<B>(
  profile: DeviceProfile,
  { ids, rows, out, count, dim, outRows }: ScatterRowsArgs<B>,
): KernelCall<B>[] {
  if (count === 0) return [];
  const limit = profile.limits.maxStorageBufferBindingSize;
  const targets = rowWindows(outRows, [dim * 4], limit);
  return rowWindows(count, [dim * 4, 4], limit).flatMap((from) =>
    targets.map((to) =>
      shaderCall('copy/scatter_rows', {
        uniforms: { count: from.count, dim, first: to.start, out_rows: to.count },
        bindings: {
          rows: bind(rows, 'read', from.count * dim * 4, from.start * dim * 4),
          ids: bind(ids, 'read', from.count * 4, from.start * 4),
          out: bind(out, 'read_write', to.count * dim * 4, to.start * dim * 4),
        },
        workgroups: foldWorkgroups(Math.ceil((from.count * dim) / 64), profile.limits.maxComputeWorkgroupsPerDimension),
        variant: 'plain',
        work: { bytes: from.count * (4 + (dim * 8 * to.count) / outRows) },
      }),
    ),
  );
}
