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

/**
 * The rate at which the mean falls most steeply over the logarithm of the rate: fastai's `steep`. Its `valley`, further up the slope, is
 * careful where losses rise soon after; with optimisers that scale their steps it named rates at which a run learned little. Of `steps`
 * that were asked for the first tenth is left out: before it there is no mean to speak of. null where the mean never falls.
 */
export function suggestRate(points: readonly Pick<RatePoint, 'rate' | 'smoothed'>[], steps: number): number | null {
  const kept = points.slice(Math.floor(steps / 10), -skippedAtEnd);
  let steepest = 0;
  let found: number | null = null;
  for (const [i, { rate, smoothed }] of kept.slice(0, -1).entries()) {
    const next = kept[i + 1]!;
    const slope = (next.smoothed - smoothed) / Math.log(next.rate / rate);
    if (slope < steepest) [steepest, found] = [slope, rate];
  }
  return found;
}
