import type { ResolvedTrainConfig } from '../../config/train-config.js';
import type { RunState } from '../checkpoints/run-checkpoints.js';

type Evaluations = Pick<RunState, 'evaluated' | 'best' | 'stalled'>;
type Rules = Pick<ResolvedTrainConfig, 'keepBest' | 'earlyStopping'>;

/** What a run knows of its evaluations after one more: which was the best, and since when there was none that counts as better. */
export function withEvaluation<S extends Evaluations & Pick<RunState, 'step'>>(
  state: S,
  loss: number,
  { keepBest, earlyStopping }: Rules,
): S {
  const { step, best, stalled } = state;
  const isLower = best === null || loss < best.loss;
  const isProgress = stalled === null || loss < stalled.loss - (earlyStopping?.minDelta ?? 0);
  return {
    ...state,
    evaluated: step,
    best: keepBest === 'never' ? null : isLower ? { step, loss } : best,
    stalled: isProgress ? { loss, evaluations: 0 } : { loss: stalled.loss, evaluations: stalled.evaluations + 1 },
  };
}

/** Before the first. */
export const noEvaluations: Evaluations = { evaluated: 0, best: null, stalled: null };

/** Whether a run has waited long enough for a lower loss. */
export const stopsEarly = ({ stalled }: Pick<Evaluations, 'stalled'>, { earlyStopping }: Rules): boolean =>
  earlyStopping !== null && stalled !== null && stalled.evaluations >= earlyStopping.patience;
