import type { ParamTree } from '@lapidary/gemma';
import {
  abs,
  add,
  div,
  embedding,
  exp,
  greater,
  log,
  minimum,
  mul,
  neg,
  relu,
  reshape,
  slice,
  square,
  sub,
  sum,
  type InputsOf,
  type Tensor,
} from '@lapidary/tensor';
import type { Loss, LossContext } from '../objective.js';
import type { PreferenceInputs } from './batch.js';

/** Settings of the objective `dpo`, by TRL's names. */
export interface PreferenceSettings {
  /** How far the model may go from what it was: the larger, the less. */
  readonly beta: number;
  /**
   * `sigmoid`: as the paper has it. `ipo`: a square around 1 / 2β, of means over tokens (Azar et al. 2023, arXiv:2310.12036). `hinge`: a
   * margin (Zhao et al. 2023, arXiv:2305.10425).
   */
  readonly lossType: 'sigmoid' | 'ipo' | 'hinge';
  /** Chance that a pair is labelled the wrong way round; `sigmoid` only. */
  readonly labelSmoothing: number;
}

/** Two values of each pair. */
interface OfPair {
  readonly chosen: Tensor;
  readonly rejected: Tensor;
}

/** Σ loss of the pairs, and of each what it would be rewarded with: β times how much likelier it is than without the adapter. */
export function preferenceLoss(
  { places, lengths, pairs, ...inputs }: InputsOf<PreferenceInputs>,
  context: LossContext,
  settings: PreferenceSettings,
): Loss {
  const { params, reference } = context;
  if (reference === undefined)
    throw new TypeError(
      "objective 'dpo' needs the model without its adapter, and there is none: nothing but a LoRA may be trained",
    );
  const { beta, lossType } = settings;
  // The reference first: what it computes is given back before values are kept for gradients.
  const before = logProbabilities({ places, ...inputs }, context, reference);
  const ratios = sub(logProbabilities({ places, ...inputs }, context, params), before);
  const [ofAll, rewards] = [ofPairs(ratios), ofPairs(mul(ratios, beta))];
  const compared = lossType === 'ipo' ? ofPairs(div(ratios, lengths)) : ofAll;
  const total = (each: Tensor) => sum(mul(each, pairs));
  return {
    loss: total(lossOf(sub(compared.chosen, compared.rejected), settings)),
    metrics: {
      'rewards/chosen': total(rewards.chosen),
      'rewards/rejected': total(rewards.rejected),
      'rewards/accuracy': total(greater(rewards.chosen, rewards.rejected)),
      'rewards/margin': total(sub(rewards.chosen, rewards.rejected)),
    },
  };
}

/** Loss f32 [P] by how much further the chosen answers have come than the rejected ones, f32 [P]. */
function lossOf(difference: Tensor, { beta, lossType, labelSmoothing }: PreferenceSettings): Tensor {
  if (lossType === 'ipo') return square(sub(difference, 1 / (2 * beta)));
  const scaled = mul(difference, beta);
  if (lossType === 'hinge') return relu(sub(1, scaled));
  const right = neg(logSigmoid(scaled));
  if (labelSmoothing === 0) return right;
  return sub(mul(right, 1 - labelSmoothing), mul(logSigmoid(neg(scaled)), labelSmoothing));
}

/** log(1 / (1 + e^−x)), which overflows nowhere. Where x is 0 the halves of the gradients of `minimum` and `abs` give ½, as they should. */
const logSigmoid = (x: Tensor): Tensor => sub(minimum(x, 0), log(add(1, exp(neg(abs(x))))));

/** Log-probability of each answer, f32 [2·P]. */
function logProbabilities(
  { places, rows, targets, ...inputs }: Omit<InputsOf<PreferenceInputs>, 'lengths' | 'pairs'>,
  { model, options }: LossContext,
  params: ParamTree,
): Tensor {
  const { hidden } = model.forward(params, inputs, options);
  const { losses } = model.tokenLosses(params, embedding(reshape(hidden, [-1, model.hiddenSize]), rows), targets);
  const [answers, most] = places.shape as [number, number];
  return neg(sum(reshape(embedding(reshape(losses, [-1, 1]), places), [answers, most]), 1));
}

function ofPairs(answers: Tensor): OfPair {
  const count = answers.size / 2;
  const column = (i: number) => reshape(slice(reshape(answers, [count, 2]), 1, i, i + 1), [count]);
  return { chosen: column(0), rejected: column(1) };
}
