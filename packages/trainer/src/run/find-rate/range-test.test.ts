import { createRandom } from '@lapidary/gemma';
import { expect, test } from 'vitest';
import cases from '../../../../../test/fixtures/lr-find/cases.json' with { type: 'json' };
import { isAtEnd, rateAt, SmoothedLosses, suggestRate } from './range-test.js';

test.each(cases)('as fastai: $name', ({ name, steps, rates, raw, smoothed, ends, steepest }) => {
  const losses = new SmoothedLosses();
  const found = raw.map((loss) => losses.add(loss));
  // Its means are f32.
  found.forEach((each, i) => expect(Math.abs(each.smoothed / smoothed[i]! - 1)).toBeLessThan(1e-5));
  expect(found.findIndex(({ isGone }) => isGone)).toBe(ends ? raw.length - 1 : -1);
  rates.forEach((rate, i) => expect(rateAt(i, { from: 1e-7, to: 1, steps }) / rate).toBeCloseTo(1, 12));
  const points = rates.map((rate, i) => ({ rate, loss: raw[i]!, smoothed: smoothed[i]! }));
  const suggested = suggestRate(points, steps);
  // fastai names a rate of losses that never fall, too, and one of the first means, which differ most.
  if (name.startsWith('flat')) expect(suggested).toBeNull();
  else if (name === 'down to the end, noise 0.15') expect(suggested).toBeGreaterThan(100 * steepest);
  else expect(suggested).toBe(steepest);
});

const pointsOf = (losses: readonly number[]) => {
  const means = new SmoothedLosses();
  return losses.map((loss, i) => ({ rate: 10 ** ((i / losses.length) * 7 - 7), loss, ...means.add(loss) }));
};

test('losses that never fall suggest nothing, and so do too few', () => {
  expect(suggestRate(pointsOf(Array.from({ length: 40 }, (_, i) => 3 + i)), 40)).toBeNull();
  expect(suggestRate(pointsOf(Array.from({ length: 40 }, () => 3)), 40)).toBeNull();
  const falling = pointsOf(Array.from({ length: 40 }, (_, i) => 9 - i / 8));
  expect(suggestRate(falling, 40)).not.toBeNull();
  expect(suggestRate(falling.slice(0, 7), 40)).toBeNull();
});

test('chance suggests nothing; a fall that is no more than the noise of single losses is seen', () => {
  const random = createRandom(3);
  const noise = () => 0.3 * (random() + random() + random() + random() - 2);
  for (let tried = 0; tried < 200; tried++) {
    const flat = Array.from({ length: 100 }, () => 4 + noise());
    expect(suggestRate(pointsOf(flat), 100), `series ${tried}`).toBeNull();
    const falling = flat.map((loss, i) => loss - 1.2 / (1 + Math.exp((75 - i) / 4)));
    expect(suggestRate(pointsOf(falling), 100), `series ${tried}`).toBeGreaterThan(1e-3);
  }
});

test('whether the range went on for long enough', () => {
  const points = pointsOf(Array.from({ length: 100 }, () => 1));
  expect([0, 50, 89, 90, 94].map((i) => isAtEnd(points, points[i]!.rate))).toEqual([false, false, false, true, true]);
});
