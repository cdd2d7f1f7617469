import type { BenchCase, Size } from './case.js';

/** A Gemma 3: four norms a block, norms of q and k, rotary embedding, grouped heads, gated GELU, tied embedding. */
export interface GemmaSizes {
  readonly layers: number;
  readonly width: number;
  readonly inner: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly words: number;
  /** Every so many layers one has the rotary base of global attention. */
  readonly globalEvery: number;
  readonly tokens: number;
}

const m270 = { width: 640, inner: 2048, heads: 4, kvHeads: 1, headDim: 256 };
const sizes: Record<Size, GemmaSizes> = {
  small: { ...m270, layers: 2, words: 2048, globalEvery: 2, tokens: 128 },
  full: { ...m270, layers: 18, words: 262144, globalEvery: 6, tokens: 512 },
};

/** Weights of the linears of one block. */
const linears = ({ width, inner, heads, kvHeads, headDim }: GemmaSizes): number =>
  width * headDim * (2 * heads + 2 * kvHeads) + 3 * width * inner;

/** Flops of the attention of one block, forward. */
const scores = ({ tokens, heads, headDim }: GemmaSizes): number => 4 * ((tokens * (tokens + 1)) / 2) * heads * headDim;

function flops(shape: GemmaSizes, kind: 'block' | 'lora' | 'full', rank = 0): number {
  const { layers, tokens, words, width } = shape;
  const block = 2 * tokens * linears(shape);
  // Backward attention computes the scores again: 10 products' worth beside the 4 of forward.
  const attention = 3.5 * scores(shape);
  const output = 2 * tokens * words * width;
  if (kind === 'block') return 3 * block + attention;
  // A frozen weight has no gradient; logits are computed twice.
  if (kind === 'lora') return layers * (2 * block + attention + 6 * tokens * rank * lowRank(shape)) + 3 * output;
  return layers * (3 * block + attention) + 4 * output;
}

/** Σ in + out of a block's linears. */
const lowRank = ({ width, inner, heads, kvHeads, headDim }: GemmaSizes): number =>
  2 * (width + heads * headDim) + 2 * (width + kvHeads * headDim) + 3 * (width + inner);

const shapeName = ({ layers, words, tokens }: GemmaSizes): string =>
  `${layers} layers of Gemma 3 270M, ${words} words, ${tokens} tokens`;

export const gemmaBlock = (size: Size): BenchCase[] => {
  const shape: GemmaSizes = {
    ...sizes[size],
    layers: 1,
    words: 512,
    globalEvery: 1,
    tokens: size === 'small' ? 256 : 1024,
  };
  return [
    {
      family: 'block',
      name: `Gemma 3 270M, forward + backward, ${shape.tokens} tokens`,
      op: 'gemmaBlock',
      params: { ...shape },
      work: { flops: flops(shape, 'block') },
      tolerance: 1e-4,
    },
  ];
};

export const loraStep = (size: Size): BenchCase[] => {
  const shape = sizes[size];
  const rank = 8;
  return [
    {
      family: 'lora step',
      name: `rank ${rank}, ${shapeName(shape)}`,
      op: 'gemmaStep',
      params: { ...shape, rank },
      work: { flops: flops(shape, 'lora', rank) },
      tolerance: 1e-4,
    },
  ];
};

export const fullStep = (size: Size): BenchCase[] => {
  const shape = sizes[size];
  return [
    {
      family: 'full step',
      name: shapeName(shape),
      op: 'gemmaStep',
      params: { ...shape, rank: 0 },
      work: { flops: flops(shape, 'full') },
      tolerance: 1e-4,
    },
  ];
};

export const decode = (size: Size): BenchCase[] => {
  const shape = sizes[size];
  const [prompt, answer] = size === 'small' ? [32, 32] : [128, 128];
  return [
    {
      family: 'decode',
      name: `${answer} tokens after ${prompt}, ${shape.layers} layers of Gemma 3 270M, ${shape.words} words`,
      op: 'decode',
      params: { ...shape, prompt, answer },
      work: { tokens: answer },
      tolerance: 0,
    },
  ];
};

export const coldStart = (size: Size): BenchCase[] => {
  const shape = { ...sizes.full, ...(size === 'small' && { tokens: 128 }) };
  const rank = 8;
  const megabytes = Math.round((2 * (shape.layers * linears(shape) + shape.words * shape.width)) / 1e6);
  return [0, 50].map((megabytesPerSecond) => ({
    family: 'cold start',
    name: `LoRA of rank ${rank}, ${shapeName(shape)}, ${megabytes} MB ${megabytesPerSecond === 0 ? 'from disk' : `at ${megabytesPerSecond} MB/s`}`,
    op: 'coldStart',
    params: { ...shape, rank, megabytesPerSecond },
    tolerance: 0,
    isStart: true,
  }));
};

export const weightLoading = (size: Size): BenchCase[] => {
  const shape = size === 'small' ? { ...sizes.small, layers: 6, words: 32768 } : sizes.full;
  const bytes = 2 * (shape.layers * linears(shape) + shape.words * shape.width);
  return [
    {
      family: 'weight loading',
      name: `safetensors of ${Math.round(bytes / 1e6)} MB, from disk to the device`,
      op: 'weightLoading',
      params: { ...shape },
      work: { bytes },
      tolerance: 0,
    },
  ];
};
