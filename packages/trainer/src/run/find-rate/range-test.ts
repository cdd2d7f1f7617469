// The range test (Smith 2017, arXiv:1506.01186) as fastai's `Learner.lr_find` does it.
import type { RatePoint } from '../../metrics/rate-search.js';

/** Rates of a test: the first and the last, and how many. */
export interface RateRange {
  readonly from: number;
  readonly to: number;
  readonly steps: number;
}

/** Rate of step `index` (from 0): each a fixed factor above the one before. */
export function rateAt(index: number, { from, to, steps }: RateRange): number {
  return from * (to / from) ** (index / (steps - 1));
}

/** What the mean keeps at each step. */
const beta = 0.98;
/** A loss so many times the lowest has gone away. */
const farAbove = 4;

/** Means of losses, corrected for their beginning at 0. */
export class SmoothedLosses {
  #sum = 0;
  #count = 0;
  #lowest = Infinity;

  /** Takes a loss: the mean then, and whether that has gone away. */
  add(loss: number): { readonly smoothed: number; readonly isGone: boolean } {
    this.#sum = beta * this.#sum + (1 - beta) * loss;
    this.#count += 1;
    const smoothed = this.#sum / (1 - beta ** this.#count);
    this.#lowest = Math.min(this.#lowest, smoothed);
    return { smoothed, isGone: smoothed > farAbove * this.#lowest };
  }
}

/** Points at the end that are of a loss on its way up. */
const skippedAtEnd = 5;
/** A fall by fewer standard deviations of the losses is chance. */
const leastFall = 2.5;
/** As a part of a loss: less is no difference. */
const rounding = 1e-6;

/**
 * The rate at which the mean falls most steeply over the logarithm of the rate: fastai's `steep`. Its `valley`, further up the slope, is
 * careful where losses rise soon after; with optimisers that scale their steps it named rates at which a run learned little. Of `steps`
 * that were asked for the first tenth is left out: before it there is no mean to speak of. null where no rate made the losses fall by more
 * than they differ anyway; before one does, the steepest is chance, and the first means, of few losses, differ most.
 */
export function suggestRate(
  points: readonly Pick<RatePoint, 'rate' | 'loss' | 'smoothed'>[],
  steps: number,
): number | null {
  const first = Math.floor(steps / 10);
  const losses = points.map(({ loss }) => loss);
  const kept = points.slice(firstFall(losses, first), -skippedAtEnd);
  let steepest = 0;
  let found: number | null = null;
  for (const [i, { rate, smoothed }] of kept.slice(0, -1).entries()) {
    const next = kept[i + 1]!;
    const slope = (next.smoothed - smoothed) / Math.log(next.rate / rate);
    if (slope < steepest) [steepest, found] = [slope, rate];
  }
  return found;
}

/** Where losses begin to be below the first so many, of the smallest rates, by more than chance; behind the last where they never are. */
function firstFall(losses: readonly number[], first: number): number {
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  // How far each is from the line between its neighbours: what falls steadily is on it.
  const offs = losses
    .slice(2)
    .map((loss, i) => Math.abs(loss - 2 * losses[i + 1]! + losses[i]!))
    .sort((a, b) => a - b);
  // Of a normal distribution the mean of the lower three quarters is 1.26 standard deviations; the others may be of leaps.
  const deviation = mean(offs.slice(0, Math.ceil(0.75 * offs.length))) / 1.26;
  const start = mean(losses.slice(0, first));
  const least = Math.max(leastFall * deviation, rounding * Math.abs(start));
  for (let i = first; i + first <= losses.length; i++) if (start - mean(losses.slice(i, i + first)) > least) return i;
  return losses.length;
}

/** Whether the losses might fall more steeply beyond the last rate: the suggested one is among the last twentieth of what was looked at. */
export function isAtEnd(points: readonly Pick<RatePoint, 'rate'>[], suggested: number): boolean {
  const at = points.findIndex(({ rate }) => rate === suggested);
  return at >= points.length - skippedAtEnd - Math.ceil(points.length / 20);
}
