import { sumByKernel, type DispatchTime } from '@lapidary/tensor';
import { expect, test } from 'vitest';
import type { TrainingProfile } from '../metrics/training-profile.js';
import { profileTable } from './profile-table.js';
import { renderProfile } from './render-profile.js';
import { familyOf } from './timeline.js';

const product = { op: 'matmul', kernel: 'matmul/matmul', variant: 'vec 8x8', flops: 4e9, bytes: 2e8 };
const dispatches: DispatchTime[] = [
  { ...product, types: 'f32[2, 8], bf16[8, 4] → f32[2, 4]', nanoseconds: 60e6 },
  { ...product, types: 'f32[2, 4], bf16[4, 8] → f32[2, 8]', nanoseconds: 20e6 },
  { op: 'adamw', kernel: 'optimizer/adamw', variant: 'vec4', types: '', nanoseconds: 15e6, flops: 0, bytes: 3e8 },
  { op: 'sum', kernel: 'reduce/reduce', variant: 'plain', types: '', nanoseconds: 5e6, flops: 0, bytes: 4 },
];
// The products could take 40 ms each, AdamW 15 ms.
const ceiling = { flopsPerSecond: 100e9, copies: [{ bytes: 1e9, bytesPerSecond: 20e9 }] };
const profileOf = (all: readonly DispatchTime[], over: Partial<TrainingProfile> = {}): TrainingProfile => ({
  model: 'gemma-3-270m',
  adapter: { vendor: 'mesa', architecture: 'software', backend: 'vulkan', device: 'llvmpipe' },
  clock: 'gpu',
  runs: 3,
  batches: [{ rows: 8, length: 64, pictures: 0, tokens: 300 }],
  ceiling,
  stepMs: 120,
  profiledStepMs: 150,
  nanoseconds: all.reduce((sum, { nanoseconds }) => sum + nanoseconds, 0),
  ofCeiling: 0.95,
  kernels: sumByKernel(all, { ceiling }),
  dispatches: all,
  ...over,
});
const profile = profileOf(dispatches);

test('the table: time, share, rates and ceiling of each kernel, slowest first', () => {
  const { facts, header, rows, total, numbersFrom } = profileTable(profile);
  expect(header).toEqual(['op', 'kernel', 'variant', 'calls', 'GPU ms', 'share', 'GFLOP/s', 'GB/s', 'of ceiling']);
  expect(rows).toEqual([
    ['matmul', 'matmul/matmul', 'vec 8x8', '2', '80.000', '80.0%', '100', '5.00', '100.0%'],
    ['adamw', 'optimizer/adamw', 'vec4', '1', '15.000', '15.0%', '', '20.0', '100.0%'],
    ['sum', 'reduce/reduce', 'plain', '1', '5.000', '5.0%', '', '0.00', '0.0%'],
  ]);
  expect(total).toEqual(['all', '', '', '4', '100.000', '100.0%', '80.0', '7.00', '95.0%']);
  expect(header.slice(numbersFrom)[0]).toBe('calls');
  expect(Object.fromEntries(facts)).toEqual({
    Device: 'llvmpipe (vulkan)',
    Step: '8 rows of 64 tokens; 300 of 512 are no padding',
    Clock: 'GPU timestamps; median of 3 steps',
    Ceiling: '100 GFLOP/s in registers; 20.0 GB/s copying, 20.0 of 954 MiB',
    'Step time': '120.0 ms as training runs it, 150.0 ms with every kernel timed',
  });
});

test('the table says what was measured otherwise: the clock, micro-batches, pictures', () => {
  const batch = { rows: 2, length: 20, pictures: 1, tokens: 30 };
  const other = profileTable(profileOf(dispatches, { clock: 'wall', runs: 1, batches: [batch, batch] }));
  expect(other.header[4]).toBe('wall ms');
  expect(Object.fromEntries(other.facts)).toMatchObject({
    Step: '2 micro-batches, the first of 2 rows of 20 tokens and 1 pictures; 60 of 80 are no padding',
    Clock: "the host's, waiting included: the adapter has no timestamps; median of one step",
  });
});

test('the page asks for nothing from outside, and holds table and shapes', () => {
  const page = renderProfile(profile);
  expect(page).not.toMatch(/<link|<img|<iframe|@import|url\(|\ssrc=|https?:|fetch\(|import\(/i);
  for (const text of ['Profile of gemma-3-270m', '120.0 ms', 'f32[2, 4], bf16[4, 8] → f32[2, 8]', 'GPU timestamps'])
    expect(page).toContain(text);
  expect(page.match(/<tr>/g)).toHaveLength(1 + 3 + 1 + 1 + 4 + 1 + 5);
});

/** The bars of a page: dispatch, and its parts' widths in lines. */
function bars(page: string): Map<number, { widths: number[]; colour: string }> {
  const found = new Map<number, { widths: number[]; colour: string }>();
  for (const [, colour, x, width, i] of page.matchAll(
    /<rect class="(\w)[^"]*" x="([\d.]+)%" width="([\d.]+)%" height="100%" data-i="(\d+)"\/>/g,
  )) {
    const bar = found.get(Number(i)) ?? { widths: [], colour: colour! };
    bar.widths.push(Number(width));
    found.set(Number(i), bar);
    expect(Number(x) + Number(width)).toBeLessThanOrEqual(100.001);
  }
  return found;
}

test('the timeline: every dispatch as long as it took, across lines, in the colour of its family', () => {
  const page = renderProfile(profile);
  const found = bars(page);
  // Four lines of 25 ms.
  const lengths = [...found.values()].map(({ widths }) => (widths.reduce((a, b) => a + b, 0) / 100) * 25);
  dispatches.forEach(({ nanoseconds }, i) => expect(lengths[i]).toBeCloseTo(nanoseconds / 1e6, 3));
  expect(found.get(0)!.widths).toHaveLength(3);
  expect([...found.values()].map(({ colour }) => colour)).toEqual(['a', 'a', 'f', 'g']);
  const data = JSON.parse(/data-dispatches="([^"]*)"/.exec(page)![1]!.replaceAll('&#34;', '"')) as {
    texts: string[];
    rows: [number, number, number, number, number][];
  };
  expect(data.rows.map(([name, types, ...numbers]) => [data.texts[name], data.texts[types], ...numbers])).toEqual(
    dispatches.map(({ op, kernel, variant, types, nanoseconds, flops, bytes }) => [
      `${op} · ${kernel} (${variant})`,
      types,
      nanoseconds,
      flops,
      bytes,
    ]),
  );
});

test('the timeline of many dispatches has few lines; of a clock that stands still it says so', () => {
  const many = Array.from({ length: 5000 }, (_, i) => ({ ...dispatches[i % 4]!, nanoseconds: 1 + (i % 7) }));
  const page = renderProfile(profileOf(many));
  expect(page.match(/class="lane"/g)).toHaveLength(24);
  expect(bars(page).size).toBe(5000);
  const still = renderProfile(
    profileOf(
      dispatches.map((d) => ({ ...d, nanoseconds: 0 })),
      { ofCeiling: null },
    ),
  );
  expect(still).toContain('No kernel took time');
  expect(still.replace(/<script>[\s\S]*<\/script>/, '')).not.toMatch(/NaN|Infinity|undefined/);
});

test('text cannot become markup', () => {
  const evil = `</style></script><script>alert(1)</script><img src=x onerror="alert(2)">'`;
  const page = renderProfile(
    profileOf(
      dispatches.map((d) => ({ ...d, op: evil, variant: evil, types: evil })),
      { model: evil, adapter: { ...profile.adapter, device: evil } },
    ),
  );
  expect(page).not.toMatch(/<script>alert|<img/);
  expect(page.match(/<\/script>/g)).toHaveLength(1);
});

test('families', () => {
  const kernels = [
    'matmul/matmul',
    'attention/row_stats',
    'norm/rms_norm',
    'rope/rope',
    'loss/cross_entropy',
    'copy/fill',
  ];
  expect(kernels.map((kernel) => familyOf({ kernel }).name)).toEqual([
    'matmul',
    'attention',
    'norm',
    'elementwise',
    'loss',
    'other',
  ]);
});
