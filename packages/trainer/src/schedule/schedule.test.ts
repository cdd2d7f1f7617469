import { expect, test } from 'vitest';
import { ScheduleError } from '../errors/errors.js';
import { createSchedule, type ScheduleOptions } from './schedule.js';
import cases from './testing/schedules.json' with { type: 'json' };

// Rates as optax, transformers and PyTorch compute them (testing/make_schedules.py).
for (const [name, { options, rates }] of Object.entries(cases)) {
  test(`same rates as ${name}`, () => {
    const schedule = createSchedule(options as ScheduleOptions);
    expect(rates.length).toBeGreaterThan(10);
    for (const [step, expected] of rates as [number, number][]) {
      expect(Math.abs(schedule(step) - expected), `step ${step}`).toBeLessThanOrEqual(1e-9 * options.peak);
    }
  });
}

test('the fixture tells the warm-up rules apart', () => {
  const first = (['openpi', 'zero', 'ramp'] as const).map((warmupRule) =>
    createSchedule({ type: 'constant', peak: 1, warmupSteps: 4, warmupRule })(0),
  );
  expect(first).toEqual([0.2, 0, 0.25]);
});

test('numbers that make no curve are refused', () => {
  const base: ScheduleOptions = { type: 'cosine', peak: 1e-3, warmupSteps: 10, decaySteps: 100 };
  for (const wrong of [
    { decaySteps: 10 },
    { peak: -1 },
    { peak: NaN },
    { warmupSteps: 1.5 },
    { type: 'rsqrt' as const, timescale: 0 },
  ]) {
    expect(() => createSchedule({ ...base, ...wrong })).toThrow(ScheduleError);
  }
});
