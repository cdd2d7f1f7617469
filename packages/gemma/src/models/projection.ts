import { dropout, linear, type LinearParams, type Tensor } from '@lapidary/tensor';
import type { ForwardOptions } from '../families/family.js';

/** How low-rank updates run. */
export type LoraRun = Pick<ForwardOptions, 'loraDropout'>;

/** x → projection(x), with its low-rank update; `slot` (0 to 15) tells the linears of a block apart. */
export type Projection = (x: Tensor, params: LinearParams, slot: number) => Tensor;

/** The linears of block `block`, counted over all towers: each drops inputs of its own. */
export function createProjection({ loraDropout }: LoraRun, block: number): Projection {
  return (x, params, slot) => {
    const dropped =
      loraDropout && params.lora ? dropout(x, loraDropout.rate, loraDropout.seed, dropoutStream(block, slot)) : x;
    return linear(x, params, { loraInput: dropped });
  };
}

const SLOTS = 16;
/** Slots from this on came later: the first ones keep the streams that runs were begun with. */
const FIRST_SLOTS = 8;
/** Above the first slots' streams of any model, and below 2²⁴ (streams are f32). */
const LATER_STREAMS = 2 ** 20;

/** Number of the random stream of a linear: no two have the same. @throws RangeError for a slot that a block has not */
export function dropoutStream(block: number, slot: number): number {
  if (slot >= SLOTS) throw new RangeError(`the linears of a block have slots 0 to ${SLOTS - 1}, not ${slot}`);
  return block * FIRST_SLOTS + (slot < FIRST_SLOTS ? slot : slot - FIRST_SLOTS + LATER_STREAMS);
}
