import { TensorLike } from '@lapidary/tensor';
import type { HostRowsType } from './host-rows.js';

/** The input `hostRows` of a program that takes the `inputIds` of so many tokens; none where a model has no such table. */
export function hostRowsInput(rows: HostRowsType | undefined, tokens: number): { readonly hostRows?: TensorLike } {
  return rows ? { hostRows: new TensorLike(rows.dtype, [tokens, rows.width]) } : {};
}
