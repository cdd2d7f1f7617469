import { expect, test } from 'vitest';
import cases from '../../../../../test/fixtures/lr-find/cases.json' with { type: 'json' };
import { rateAt, SmoothedLosses, suggestRate } from './range-test.js';

test.each(cases)('as fastai: $name', ({ steps, rates, raw, smoothed, ends, steepest }) => {
  const losses = new SmoothedLosses();
  const found = raw.map((loss) => losses.add(loss));
  // Its means are f32.
  found.forEach((each, i) => expect(Math.abs(each.smoothed / smoothed[i]! - 1)).toBeLessThan(1e-5));
  expect(found.findIndex(({ isGone }) => isGone)).toBe(ends ? raw.length - 1 : -1);
  rates.forEach((rate, i) => expect(rateAt(i, { from: 1e-7, to: 1, steps }) / rate).toBeCloseTo(1, 12));
  const points = rates.map((rate, i) => ({ rate, smoothed: smoothed[i]! }));
  expect(suggestRate(points, steps)).toBe(steepest);
});

test('losses that never fall suggest nothing, and so do too few', () => {
  const points = Array.from({ length: 40 }, (_, i) => ({ rate: 10 ** (i / 10 - 7), smoothed: 3 + i }));
  expect(suggestRate(points, 40)).toBeNull();
  expect(
    suggestRate(
      points.map((point) => ({ ...point, smoothed: 3 })),
      40,
    ),
  ).toBeNull();
  expect(suggestRate(points.slice(0, 7), 40)).toBeNull();
});
