import type { Params } from './protocol.js';
import { hashed } from './values.js';

/** Sizes of a Gemma 3 as cases give them; see cases/gemma.ts. */
export interface GemmaShape {
  readonly layers: number;
  readonly width: number;
  readonly inner: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly words: number;
  readonly globalEvery: number;
  readonly tokens: number;
}

export const gemmaShape = (params: Params): GemmaShape => params as unknown as GemmaShape;

/** A parameter of a made-up Gemma: linears are [out, in], as published. */
export interface GemmaWeight {
  readonly path: string;
  readonly shape: readonly number[];
  /** Exact in bf16. */
  values(): Float32Array<ArrayBuffer>;
}

/** Every weight in order; a block's are at `1 + 13 · layer`. contenders/torch/gemma.py has the same list. */
export function gemmaWeights({ layers, width, inner, heads, kvHeads, headDim, words }: GemmaShape): GemmaWeight[] {
  const [queries, keys] = [heads * headDim, kvHeads * headDim];
  const block: readonly (readonly [string, readonly number[], number])[] = [
    ['inputNorm', [width], 1 / 8],
    ['attn.qProj', [queries, width], 1 / 16],
    ['attn.kProj', [keys, width], 1 / 16],
    ['attn.vProj', [keys, width], 1 / 16],
    ['attn.oProj', [width, queries], 1 / 16],
    ['attn.qNorm', [headDim], 1 / 8],
    ['attn.kNorm', [headDim], 1 / 8],
    ['postAttnNorm', [width], 1 / 8],
    ['preMlpNorm', [width], 1 / 8],
    ['mlp.gateProj', [inner, width], 1 / 16],
    ['mlp.upProj', [inner, width], 1 / 16],
    ['mlp.downProj', [width, inner], 1 / 32],
    ['postMlpNorm', [width], 1 / 8],
  ];
  const all = [
    ['embedTokens', [words, width], 1 / 32] as const,
    ...Array.from({ length: layers }, (_, i) =>
      block.map(([path, shape, scale]) => [`layers.${i}.${path}`, shape, scale] as const),
    ).flat(),
    ['finalNorm', [width], 1 / 8] as const,
  ];
  return all.map(([path, shape, scale], index) => ({
    path: `${path}.weight`,
    shape,
    values: () =>
      hashed(
        shape.reduce((a, b) => a * b, 1),
        index + 1,
        scale,
        8,
      ),
  }));
}

/** Linears of a block that get a low-rank update, by their place in the block. */
export const LORA_SLOTS = [1, 2, 3, 4, 9, 10, 11] as const;
export const LORA_SCALE = 2;

/** Starting values of the first matrix [rank, in] of the low-rank update of weight number `index`; the second is zeros. */
export const loraStart = (rank: number, inputs: number, index: number): Float32Array<ArrayBuffer> =>
  hashed(rank * inputs, 10_000 + index, 1 / 32);
