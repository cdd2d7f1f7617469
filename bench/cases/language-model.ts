import type { BenchCase, Size } from './case.js';

interface Sizes {
  readonly layers: number;
  readonly width: number;
  readonly heads: number;
  readonly inner: number;
  readonly words: number;
  readonly tokens: number;
  readonly batch: number;
}

function flops({ layers, width, inner, words, tokens, batch }: Sizes): number {
  const perToken =
    2 * (layers * (4 * width * width + 2 * width * inner) + width * words) + layers * 2 * 2 * tokens * width;
  return 3 * perToken * batch * tokens;
}

const small: Sizes = { layers: 2, width: 128, heads: 4, inner: 512, words: 512, tokens: 128, batch: 2 };
const full: Sizes = { layers: 6, width: 768, heads: 12, inner: 3072, words: 8192, tokens: 512, batch: 8 };
const tiny: Sizes = { layers: 1, width: 64, heads: 4, inner: 128, words: 128, tokens: 32, batch: 1 };

/** A small language model (pre-norm blocks, tanh-GELU, tied embedding), whole training steps with Adam. */
export const languageModel = (size: Size): BenchCase[] => {
  const sizes = size === 'small' ? small : full;
  const { layers, width, words, tokens, batch } = sizes;
  return [
    {
      family: 'language model',
      name: `step, ${layers} layers of ${width}, ${words} words, ${batch} × ${tokens} tokens, Adam`,
      op: 'languageModelStep',
      params: { ...sizes },
      work: { flops: flops(sizes) },
      tolerance: 1e-5,
      target: 3,
    },
    {
      family: 'memory',
      name: '1,000 steps of a language model of 1 layer of 64',
      op: 'languageModelStep',
      params: { ...tiny },
      tolerance: 1e-4,
      memoryRuns: 1000,
    },
  ];
};
