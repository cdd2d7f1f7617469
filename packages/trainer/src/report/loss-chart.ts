import type { EvalRecord, StepRecord } from '../metrics/run-records.js';
import { renderChart } from './chart.js';
import type { Html } from './html.js';
import { smoothed, type Point } from './thin.js';

/**
 * The losses of a run by step as a `<figure>` with an SVG in it, for a report or a page that draws it anew as the run goes
 * on. Colours and fonts are the stylesheet's: classes `a` (training) and `b` (evaluation).
 */
export function renderLossChart({
  steps,
  evals,
}: {
  readonly steps: readonly StepRecord[];
  readonly evals: readonly EvalRecord[];
}): Html {
  const loss: Point[] = steps.map((record) => [record.step, record.loss]);
  // Single steps are noisy: the mean shows where it goes, the steps stay visible behind it.
  const mean = smoothed(loss);
  const train = { name: 'training', colour: 'a' as const, points: mean };
  return renderChart({
    title: 'Loss',
    isWide: true,
    series: [
      ...(mean !== loss ? [{ ...train, points: loss, faint: true }] : []),
      train,
      ...(evals.length > 0
        ? [
            {
              name: 'evaluation',
              colour: 'b' as const,
              dots: true,
              points: evals.map(({ step, loss: value }): Point => [step, value]),
            },
          ]
        : []),
    ],
  });
}
