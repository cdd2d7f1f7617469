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

/**
 * Of the targets, each f32 with one element: `loss`, Σ cross-entropy in nats, and `correct`, how many of them no token is likelier than.
 * Only rows with a target meet the vocabulary.
 */
export function sumTokenLosses(
  model: Model,
  params: ParamTree,
  inputs: ModelInputs,
  { rows, targets, labelSmoothing = 0 }: TokenTargets,
  options: ForwardOptions = {},
): { readonly loss: Tensor; readonly correct: Tensor } {
  const { hidden } = model.forward(params, inputs, options);
  const flat = reshape(hidden, [-1, model.hiddenSize]);
  const { losses, correct } = model.tokenLosses(params, embedding(flat, rows), targets, { labelSmoothing });
  return { loss: sum(losses), correct: sum(correct) };
}
