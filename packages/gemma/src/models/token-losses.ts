import { embedding, linearCrossEntropy, mul, reshape, sum, type Tensor } from '@lapidary/tensor';
import type { ForwardOptions, Model, ModelInputs, ParamTree } from '../families/family.js';

/** What a model's loss is over. */
export interface ModelTargets {
  /** i32 [R]: rows of the flattened [B·tokens] stream that predict a target; −1 fills up. */
  readonly rows: Tensor;
  /** i32 [R]: the token each of these rows should predict; negative where there is none. */
  readonly targets: Tensor;
  /** f32 [1]: what the sum of losses is multiplied by: 1 / targets of the whole optimiser step. */
  readonly weight: Tensor;
}

/**
 * Cross-entropy in nats f32 [R] of rows f32 [R, d] with a table f32 [V, d] of any storage type and `targets` i32 [R].
 * @throws RangeError for label smoothing, which the fused kernel does not know
 */
export function tableLosses(
  rows: Tensor,
  table: Tensor,
  targets: Tensor,
  { softcap, labelSmoothing = 0 }: { readonly softcap: number; readonly labelSmoothing?: number | undefined },
): Tensor {
  if (labelSmoothing !== 0) throw new RangeError(`labelSmoothing is ${labelSmoothing}, but only 0 is supported`);
  return linearCrossEntropy(rows, table, targets, { softcap });
}

/** Σ cross-entropy of the targets · weight (nats, f32 scalar). Only rows with a target meet the vocabulary. */
export function modelLoss(
  model: Model,
  params: ParamTree,
  inputs: ModelInputs,
  { rows, targets, weight }: ModelTargets,
  options: ForwardOptions = {},
): Tensor {
  const { hidden } = model.forward(params, inputs, options);
  const flat = reshape(hidden, [-1, model.hiddenSize]);
  return reshape(mul(sum(model.tokenLosses(params, embedding(flat, rows), targets)), weight), []);
}
