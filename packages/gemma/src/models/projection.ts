import { dropout, linear, type LinearParams, type Tensor } from '@lapidary/tensor';
import type { ForwardOptions } from '../families/family.js';

/** How low-rank updates run. */
export type LoraRun = Pick<ForwardOptions, 'loraDropout'>;

/** x → projection(x), with its low-rank update; `slot` (0 to 7) tells the linears of a block apart. */
export type Projection = (x: Tensor, params: LinearParams, slot: number) => Tensor;

const SLOTS = 8;

/** The linears of block `block`, counted over all towers: each drops inputs of its own. */
export function createProjection({ loraDropout }: LoraRun, block: number): Projection {
  return (x, params, slot) => {
    const dropped =
      loraDropout && params.lora ? dropout(x, loraDropout.rate, loraDropout.seed, block * SLOTS + slot) : x;
    return linear(x, params, { loraInput: dropped });
  };
}
