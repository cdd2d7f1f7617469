import type { Operand } from './kernel-call.js';

/** Scratch memory for kernels that run one after the other: the same for all, unless one needs more than those before it. */
export function reuseWorkspace<B>(workspace: (bytes: number) => Operand<B>): (bytes: number) => Operand<B> {
  let held: { readonly bytes: number; readonly operand: Operand<B> } | undefined;
  return (bytes) => {
    if (held === undefined || held.bytes < bytes) held = { bytes, operand: workspace(bytes) };
    return held.operand;
  };
}
