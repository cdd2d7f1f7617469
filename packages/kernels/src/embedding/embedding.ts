import type { DeviceProfile } from '@lapidary/gpu';
import { byteLength, isQuantised } from '../dtype.js';
import { foldWorkgroups, type KernelCall, type Operand } from '../kernel-call.js';
import { shaderCall } from '../shader-call.js';
import { weightConditions } from '../weight-conditions.js';
import { bind, rowWindows } from '../windows.js';

interface EmbeddingShape {
  /** Number of ids. */
  readonly rows: number;
  readonly dim: number;
  /** Rows of the table. */
  readonly vocab: number;
  /** Multiplies what is looked up. */
  readonly scale: number;
}

/**
 * out[r] = scale · table[ids[r]]: table [vocab, dim] in any storage type, ids i32 [rows], out f32 [rows, dim]
 * (`shaders/embedding/gather.wesl`).
 * @throws RangeError for rows in blocks of no multiple of 8 values; BindingLimitError.
 */
export function embeddingGather<B>(
  profile: DeviceProfile,
  args: EmbeddingShape & { readonly table: Operand<B>; readonly ids: Operand<B>; readonly out: Operand<B> },
): KernelCall<B>[] {
  const { table, ids, out, rows, dim, vocab, scale } = args;
  const vec = dim % 8 === 0;
  if (!vec && isQuantised(table.dtype))
    throw new RangeError(`embedding: rows of a ${table.dtype} table must hold a multiple of 8 values, not ${dim}`);
  const rowBytes = byteLength(table.dtype, dim);
  const limit = profile.limits.maxStorageBufferBindingSize;
  // Tokens are windowed only where their activations alone are beyond a binding.
  return rowWindows(rows, [dim * 4, 4], limit).flatMap((tokens) =>
    rowWindows(vocab, [rowBytes], limit).map(({ start, count }) =>
      shaderCall('embedding/gather', {
        conditions: { ...weightConditions(table.dtype, vec ? 8 : 1), VEC: vec },
        uniforms: { rows: tokens.count, dim, first: start, count, vocab, scale },
        bindings: {
          ids: bind(ids, 'read', tokens.count * 4, tokens.start * 4),
          weights: bind(table, 'read', count * rowBytes, start * rowBytes),
          out: bind(out, 'read_write', tokens.count * dim * 4, tokens.start * dim * 4),
        },
        workgroups: foldWorkgroups(
          Math.ceil((tokens.count * dim) / (vec ? 8 : 1) / 64),
          profile.limits.maxComputeWorkgroupsPerDimension,
        ),
        variant: vec ? 'vec8' : 'scalar',
        work: { bytes: tokens.count * (4 + ((rowBytes + dim * 4) * count) / vocab) },
      }),
    ),
  );
}

/** dTable[ids[r]] += scale · dOut[r], in place on f32 [vocab, dim]; the same sum in the same order every time. */
export function embeddingScatterAdd<B>(
  profile: DeviceProfile,
  args: EmbeddingShape & { readonly ids: Operand<B>; readonly dOut: Operand<B>; readonly dTable: Operand<B> },
): KernelCall<B>[] {
  const { ids, dOut, dTable, rows, dim, vocab, scale } = args;
  const limit = profile.limits.maxStorageBufferBindingSize;
  return rowWindows(rows, [dim * 4, 4], limit).flatMap((tokens) =>
    rowWindows(vocab, [dim * 4], limit).map(({ start, count }) =>
      shaderCall('embedding/scatter_add', {
        uniforms: { rows: tokens.count, dim, first: start, count, scale },
        bindings: {
          ids: bind(ids, 'read', tokens.count * 4, tokens.start * 4),
          dy: bind(dOut, 'read', tokens.count * dim * 4, tokens.start * dim * 4),
          table: bind(dTable, 'read_write', count * dim * 4, start * dim * 4),
        },
        workgroups: [Math.ceil(dim / 32), 1, 1] as const,
        variant: 'plain',
        work: { bytes: tokens.count * (4 + (dim * 12 * count) / vocab) },
      }),
    ),
  );
}
