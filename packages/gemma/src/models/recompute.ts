import type { ForwardOptions } from '../families/family.js';

/** Whether a block's values are computed again in the backward pass: of all blocks, or of the first so many. */
export function isRecomputed(
  { gradientCheckpointing = false }: Pick<ForwardOptions, 'gradientCheckpointing'>,
  block: number,
): boolean {
  return typeof gradientCheckpointing === 'number' ? block < gradientCheckpointing : gradientCheckpointing;
}
