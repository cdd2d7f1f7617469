import { embedding, reshape, sum, type Tensor } from '@lapidary/tensor';
import type { ForwardOptions, Model, ModelInputs, ParamTree } from '../families/family.js';

/** What a model's losses are over. */
export interface TokenTargets {
  /** i32 [R]: rows of the flattened [B·tokens] stream that predict a target; −1 fills up. */
  readonly rows: Tensor;
  /** i32 [R]: the token each of these rows should predict; negative where there is none. */
  readonly targets: Tensor;
  /** Share of a target's probability that is spread over the vocabulary. Default 0. */
  readonly labelSmoothing?: number;
}

/** Σ cross-entropy of the targets, nats, f32 with one element. Only rows with a target meet the vocabulary. */
export function sumTokenLosses(
  model: Model,
  params: ParamTree,
  inputs: ModelInputs,
  { rows, targets, labelSmoothing = 0 }: TokenTargets,
  options: ForwardOptions = {},
): Tensor {
  const { hidden } = model.forward(params, inputs, options);
  const flat = reshape(hidden, [-1, model.hiddenSize]);
  return sum(model.tokenLosses(params, embedding(flat, rows), targets, { labelSmoothing }));
}
