import { dropout, linear, type LinearParams, type Tensor } from '@lapidary/tensor';

/** How low-rank updates run. */
export interface LoraRun {
  /** Multiplies every low-rank update: alpha / rank, or alpha / √rank with rslora. Default 1. */
  readonly loraScale?: number;
  /** Share of a low-rank update's inputs that is dropped, with the step's seed (i32 scalar). Default none. */
  readonly loraDropout?: { readonly rate: number; readonly seed: Tensor };
}

/** x → projection(x), with its low-rank update; `slot` (0 to 7) tells the linears of a block apart. */
export type Projection = (x: Tensor, params: LinearParams, slot: number) => Tensor;

const SLOTS = 8;

/** The linears of block `block`, counted over all towers: each drops inputs of its own. */
export function createProjection({ loraScale = 1, loraDropout }: LoraRun, block: number): Projection {
  return (x, params, slot) => {
    const dropped =
      loraDropout && params.lora ? dropout(x, loraDropout.rate, loraDropout.seed, block * SLOTS + slot) : x;
    return linear(x, params, { loraScale, loraInput: dropped });
  };
}
