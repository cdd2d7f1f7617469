import { div, linear, matmul, maximum, mul, reshape, sqrt, sum, type Tensor } from '@lapidary/tensor';
import type { EmbeddingGemmaParams } from './params.js';

/** The least length that is divided by, as in PyTorch's `normalize`. */
const leastLength = 1e-12;

/**
 * Unit vectors f32 [B, size] of the text model's stream f32 [B, T, d], as sentence-transformers makes them: the mean over the tokens, the
 * linears, length 1. `tokenWeights` f32 [B, T]: 1 / n for each of a row's n tokens, 0 for padding.
 */
export function embeddingGemmaVectors(
  { head }: Pick<EmbeddingGemmaParams, 'head'>,
  hidden: Tensor,
  tokenWeights: Tensor,
): Tensor {
  const [batch, tokens, width] = hidden.shape as [number, number, number];
  const mean = reshape(matmul(reshape(tokenWeights, [batch, 1, tokens]), hidden), [batch, width]);
  const vector = head.reduce((x, { dense }) => linear(x, dense), mean);
  return div(vector, sqrt(maximum(sum(mul(vector, vector), 1, true), leastLength ** 2)));
}
