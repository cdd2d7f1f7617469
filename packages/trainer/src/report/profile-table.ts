import { copySpeed, type KernelTime } from '@lapidary/tensor';
import type { TrainingProfile } from '../metrics/training-profile.js';
import { formatAdapter, formatBytes } from '../format/format.js';

/** A profile as text: what was measured, and a table of its kernels, slowest first. Columns from `numbersFrom` on are numbers. */
export interface ProfileTable {
  readonly facts: readonly (readonly [name: string, value: string])[];
  readonly header: readonly string[];
  readonly rows: readonly (readonly string[])[];
  readonly total: readonly string[];
  readonly numbersFrom: number;
}

/** The table of a profile; with `kernels` of other ones, such as `sumByKernel` tells apart by types. */
export function profileTable(profile: TrainingProfile, kernels: readonly KernelTime[] = profile.kernels): ProfileTable {
  const { clock, nanoseconds, ofCeiling, dispatches } = profile;
  const sum = (key: 'flops' | 'bytes') => dispatches.reduce((all, dispatch) => all + dispatch[key], 0);
  const row = (time: Pick<KernelTime, 'calls' | 'nanoseconds' | 'flops' | 'bytes' | 'share' | 'ofCeiling'>) => [
    String(time.calls),
    (time.nanoseconds / 1e6).toFixed(3),
    formatPercent(time.share),
    time.flops > 0 ? formatRate(time.flops, time.nanoseconds) : '',
    formatRate(time.bytes, time.nanoseconds),
    time.ofCeiling === null ? '–' : formatPercent(time.ofCeiling),
  ];
  return {
    facts: factsOf(profile),
    header: [
      'op',
      'kernel',
      'variant',
      'calls',
      clock === 'gpu' ? 'GPU ms' : 'wall ms',
      'share',
      'GFLOP/s',
      'GB/s',
      'of ceiling',
    ],
    rows: kernels.map((time) => [time.op, time.kernel, time.variant, ...row(time)]),
    total: [
      'all',
      '',
      '',
      ...row({
        calls: dispatches.length,
        nanoseconds,
        share: nanoseconds > 0 ? 1 : 0,
        flops: sum('flops'),
        bytes: sum('bytes'),
        ofCeiling,
      }),
    ],
    numbersFrom: 3,
  };
}

function factsOf({ adapter, batches, clock, runs, ceiling, stepMs, profiledStepMs }: TrainingProfile) {
  const { rows, length, pictures } = batches[0]!;
  const tokens = batches.reduce((all, batch) => all + batch.tokens, 0);
  const places = batches.reduce((all, batch) => all + batch.rows * batch.length, 0);
  const largest = ceiling.copies.at(-1)!;
  return [
    ['Device', formatAdapter(adapter)],
    [
      'Step',
      `${batches.length > 1 ? `${batches.length} micro-batches, the first of ` : ''}${rows} rows of ${length} tokens${pictures > 0 ? ` and ${pictures} pictures` : ''}; ${tokens} of ${places} are no padding`,
    ],
    [
      'Clock',
      `${clock === 'gpu' ? 'GPU timestamps' : "the host's, waiting included: the adapter has no timestamps"}; median of ${runs === 1 ? 'one step' : `${runs} steps`}`,
    ],
    [
      'Ceiling',
      `${formatRate(ceiling.flopsPerSecond, 1e9)} GFLOP/s in registers; ${formatRate(copySpeed(ceiling), 1e9)} GB/s copying, ${formatRate(largest.bytesPerSecond, 1e9)} of ${formatBytes(largest.bytes)}`,
    ],
    [
      'Step time',
      `${stepMs.toFixed(1)} ms as training runs it, ${profiledStepMs.toFixed(1)} ms with every kernel timed`,
    ],
  ] as const;
}

/** Billions a second: of `amount` in so many nanoseconds. */
export function formatRate(amount: number, nanoseconds: number): string {
  if (!(nanoseconds > 0)) return '–';
  const rate = amount / nanoseconds;
  return rate.toFixed(rate < 10 ? 2 : rate < 100 ? 1 : 0);
}

export function formatPercent(part: number): string {
  return `${(100 * part).toFixed(1)}%`;
}
