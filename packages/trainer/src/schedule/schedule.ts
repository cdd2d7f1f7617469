import { ScheduleError } from '../errors/errors.js';

/** Learning rate before update number `step` (counted from 0). */
export type Schedule = (step: number) => number;

/**
 * How the linear warm-up over `w` steps starts and ends.
 * - `openpi`: from peak/(w+1) at step 0 to peak at step w (optax `init_value = peak / (w + 1)`);
 * - `zero`: from 0 at step 0 to peak at step w (Hugging Face transformers);
 * - `ramp`: peak·(step+1)/w, peak is reached at step w−1 (PyTorch `LinearLR(start_factor=1/w, total_iters=w-1)`).
 */
export type WarmupRule = 'openpi' | 'zero' | 'ramp';

/** What comes after the warm-up; lengths in optimizer steps, rates absolute. */
export interface ScheduleOptions {
  readonly type: 'constant' | 'cosine' | 'linear' | 'rsqrt';
  /** The rate at the end of the warm-up. */
  readonly peak: number;
  readonly warmupSteps: number;
  readonly warmupRule?: WarmupRule;
  /** cosine, linear: the step at which `end` is reached, warm-up included; the rate stays there afterwards. */
  readonly decaySteps?: number;
  /** cosine, linear: the rate from `decaySteps` on. */
  readonly end?: number;
  /** rsqrt: steps after the warm-up until the rate is peak/√2. */
  readonly timescale?: number;
}

/**
 * The learning rate as a pure function of the step. With t the step, w the warm-up, d `decaySteps`:
 * cosine `end + (peak − end)·½(1 + cos π(t−w)/(d−w))`, linear `peak + (end − peak)·(t−w)/(d−w)`,
 * rsqrt `peak / √((timescale + t − w)/timescale)`. Same formulas as openpi's (optax) and transformers'.
 * @throws ScheduleError for rates or lengths that make no curve.
 */
export function createSchedule(options: ScheduleOptions): Schedule {
  const { type, peak, warmupSteps: w, warmupRule = 'openpi', decaySteps = 0, end = 0, timescale = 10_000 } = options;
  if (!(peak >= 0) || !(end >= 0))
    throw new ScheduleError({ message: `Learning rates must be 0 or more: peak ${peak}, end ${end}.` });
  if (!Number.isInteger(w) || w < 0)
    throw new ScheduleError({ message: `warmupSteps must be a whole number, 0 or more: ${w}.` });
  if ((type === 'cosine' || type === 'linear') && !(decaySteps > w)) {
    throw new ScheduleError({
      message: `decaySteps counts the warm-up too and must exceed it: ${decaySteps} decay steps, ${w} warm-up steps.`,
    });
  }
  if (type === 'rsqrt' && !(timescale > 0))
    throw new ScheduleError({ message: `timescale must be above 0: ${timescale}.` });

  const warmup = createWarmup(peak, w, warmupRule);
  const progress = (step: number) => Math.min(1, (step - w) / (decaySteps - w));
  const after: Record<ScheduleOptions['type'], Schedule> = {
    constant: () => peak,
    cosine: (step) => end + (peak - end) * 0.5 * (1 + Math.cos(Math.PI * progress(step))),
    linear: (step) => peak + (end - peak) * progress(step),
    rsqrt: (step) => peak / Math.sqrt((timescale + step - w) / timescale),
  };
  return (step) => (step < w ? warmup(step) : after[type](step));
}

function createWarmup(peak: number, steps: number, rule: WarmupRule): Schedule {
  if (rule === 'ramp') return (step) => (peak * (step + 1)) / steps;
  const start = rule === 'openpi' ? peak / (steps + 1) : 0;
  return (step) => start + ((peak - start) * step) / steps;
}
