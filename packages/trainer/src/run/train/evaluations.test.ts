import { expect, it } from 'vitest';
import { noEvaluations, stopsEarly, withEvaluation } from './evaluations.js';

const rules = (patience: number, minDelta = 0) =>
  ({ keepBest: 'checkpoint', earlyStopping: { patience, minDelta } }) as const;

/** The evaluations of steps 1, 2, …, until the run is stopped. */
function play(losses: readonly number[], about: ReturnType<typeof rules>) {
  let state: Parameters<typeof withEvaluation>[0] = { ...noEvaluations, step: 0 };
  for (const [i, loss] of losses.entries()) {
    state = withEvaluation({ ...state, step: i + 1 }, loss, about);
    if (stopsEarly(state, about)) break;
  }
  return { steps: state.step, best: state.best };
}

it.each([
  ['ever lower: to the end', [5, 4, 3, 2], rules(1), 4, 4],
  ['one that is not lower', [5, 4, 4, 3], rules(1), 3, 2],
  ['patience is of evaluations in a row', [5, 6, 4, 5, 3, 4, 4, 2], rules(2), 7, 5],
  ['too little lower is not enough to go on, but is the best', [5, 4.95, 4.9, 1], rules(2, 0.2), 3, 3],
  ['little by little is enough in sum', [5, 4.9, 4.75, 4.7, 4.5], rules(2, 0.2), 5, 5],
  ['the first counts as lower', [9], rules(1), 1, 1],
] as const)('%s', (_, losses, about, steps, best) => {
  expect(play(losses, about)).toEqual({ steps, best: { step: best, loss: losses[best - 1] } });
});

it('without early stopping a run is never stopped', () => {
  const state = { stalled: { loss: 1, evaluations: 1000 } };
  expect(stopsEarly(state, { keepBest: 'checkpoint', earlyStopping: null })).toBe(false);
});
