// A small Gemma 3 as a model that turns texts into vectors: the means of its hidden stream.
import { gemma3, type GemmaConfig, type Model, type ModelFamily, type ParamTree } from '@lapidary/gemma';
import { add, mul, reshape, rsqrt, square, sum, type Tensor } from '@lapidary/tensor';

export function meanVectors(_params: ParamTree, hidden: Tensor, weights: Tensor): Tensor {
  const mean = sum(mul(hidden, reshape(weights, [...weights.shape, 1])), 1);
  return mul(mean, rsqrt(add(sum(square(mean), 1, true), 1e-24)));
}

export const meanFamily: ModelFamily<GemmaConfig> = {
  ...gemma3,
  describe(config: GemmaConfig): Model<GemmaConfig> {
    const { hiddenSize } = config;
    const prompts = { query: 'q: ', document: 'd: ', other: 'o: ' };
    return {
      ...gemma3.describe(config),
      embedding: { sizes: [hiddenSize, hiddenSize / 2], prompts, embed: meanVectors },
    };
  },
};
