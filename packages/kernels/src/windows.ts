import type { Binding, Operand } from './kernel-call.js';

/** Window offsets are multiples of this many bytes: the largest storage-offset alignment WebGPU allows a device to ask for. */
const ALIGNMENT = 256;

/** Rows that do not fit one binding, however few are taken at a time. */
export class BindingLimitError extends Error {
  override readonly name = 'BindingLimitError';
}

/**
 * Splits `rows` into windows of which every operand's bytes fit one binding and begin at a multiple of 256 bytes.
 * `rowBytes` holds the bytes of a row in each operand.
 * @throws BindingLimitError
 */
export function rowWindows(
  rows: number,
  rowBytes: readonly number[],
  limit: number,
): { start: number; count: number }[] {
  const largest = Math.max(...rowBytes);
  if (rows * largest <= limit) return [{ start: 0, count: rows }];
  let step = 1;
  while (rowBytes.some((bytes) => (bytes * step) % ALIGNMENT !== 0)) step *= 2;
  const fit = Math.floor(limit / largest / step) * step;
  if (fit === 0) throw new BindingLimitError(`${step} rows of ${largest} bytes do not fit a binding of ${limit} bytes`);
  return Array.from({ length: Math.ceil(rows / fit) }, (_, i) => ({
    start: i * fit,
    count: Math.min(fit, rows - i * fit),
  }));
}

/** Binds `bytes` of an operand from `start` bytes on. */
export function bind<B>(operand: Operand<B>, access: Binding<B>['access'], bytes: number, start = 0): Binding<B> {
  return {
    buffer: operand.buffer,
    offset: operand.offset + start,
    size: Math.max(4, Math.ceil(bytes / 4) * 4),
    access,
  };
}
