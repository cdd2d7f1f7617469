import type { DeviceProfile } from '@lapidary/gpu';
import { foldWorkgroups, type KernelCall, type Operand } from '../kernel-call.js';
import { shaderCall } from '../shader-call.js';
import { bind } from '../windows.js';

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
 * out[ids[r], :] = rows[r, :], in place (`shaders/copy/scatter_rows.wesl`). A target beyond one binding is walked in windows of rows.
 * @throws RangeError where 64 rows do not fit a binding.
 */
export function scatterRows<B>(
  profile: DeviceProfile,
  { ids, rows, out, count, dim, outRows }: ScatterRowsArgs<B>,
): KernelCall<B>[] {
  if (count === 0) return [];
  // 64 rows of 4-byte values begin at a multiple of 256 bytes, whatever their length.
  const fit = Math.floor(profile.limits.maxStorageBufferBindingSize / (dim * 4));
  const step = fit >= outRows ? outRows : Math.floor(fit / 64) * 64;
  if (step === 0) throw new RangeError(`scatterRows: 64 rows of ${dim * 4} bytes do not fit a binding`);
  const calls: KernelCall<B>[] = [];
  for (let first = 0; first < outRows; first += step) {
    const here = Math.min(step, outRows - first);
    calls.push(
      shaderCall('copy/scatter_rows', {
        uniforms: { count, dim, first, out_rows: here },
        bindings: {
          rows: bind(rows, 'read', count * dim * 4),
          ids: bind(ids, 'read', count * 4),
          out: bind(out, 'read_write', here * dim * 4, first * dim * 4),
        },
        workgroups: foldWorkgroups(Math.ceil((count * dim) / 64), profile.limits.maxComputeWorkgroupsPerDimension),
        variant: 'plain',
        work: { bytes: count * (4 + (dim * 8 * here) / outRows) },
      }),
    );
  }
  return calls;
}
