import { Gpu, openGpu, TimestampsUnavailableError } from '@lapidary/gpu';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { copySpeed, leastNanoseconds, measureCeiling, sumByKernel, type Ceiling, type DispatchTime } from '../index.js';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterAll(() => gpu.destroy());

it('measures arithmetic and copies of every size, and gives its memory back', async () => {
  const { bytes } = gpu.counters;
  const { flopsPerSecond, copies } = await measureCeiling(gpu);
  expect(gpu.counters.bytes).toBe(bytes);
  expect(Number.isFinite(flopsPerSecond) && flopsPerSecond > 0).toBe(true);
  expect(copies.map((copy) => copy.bytes / 2 ** 20)).toEqual([0.5, 2, 8, 32, 128]);
  for (const { bytesPerSecond } of copies) expect(Number.isFinite(bytesPerSecond) && bytesPerSecond > 0).toBe(true);
});

it('asked for a clock that the device lacks it throws, and leaves nothing behind', async () => {
  const features = new Set([...gpu.profile.features].filter((feature) => feature !== 'timestamp-query'));
  const without = new Gpu(gpu.device, { ...gpu.profile, features });
  await expect(measureCeiling(without, { clock: 'gpu' })).rejects.toThrow(TimestampsUnavailableError);
  expect(without.counters.bytes).toBe(0);
});

/** 1 TFLOP/s; 400 GB/s within 1 MB, 200 GB/s within 100 MB, and a small copy that mostly waits. */
const ceiling: Ceiling = {
  flopsPerSecond: 1e12,
  copies: [
    { bytes: 1e3, bytesPerSecond: 1e9 },
    { bytes: 1e6, bytesPerSecond: 400e9 },
    { bytes: 1e8, bytesPerSecond: 200e9 },
  ],
};

it('compares with the fastest copy of at least as many bytes', () => {
  expect([0, 10, 1e3, 1e6].map((bytes) => copySpeed(ceiling, bytes))).toEqual([400e9, 400e9, 400e9, 400e9]);
  expect([1e6 + 1, 1e8, 1e12].map((bytes) => copySpeed(ceiling, bytes))).toEqual([200e9, 200e9, 200e9]);
  expect(copySpeed(ceiling)).toBe(400e9);
});

it('takes what takes longer, arithmetic or memory', () => {
  expect(leastNanoseconds({ flops: 1e6, bytes: 4e5 }, ceiling)).toBeCloseTo(1000, 6);
  expect(leastNanoseconds({ flops: 1e6, bytes: 8e5 }, ceiling)).toBeCloseTo(2000, 6);
  expect(leastNanoseconds({ flops: 0, bytes: 0 }, ceiling)).toBe(0);
});

it('adds up kernels: shares, work, and the ceiling call by call', () => {
  const call = (op: string, types: string, nanoseconds: number, flops: number, bytes: number): DispatchTime => ({
    op,
    types,
    kernel: 'k/k',
    variant: 'plain',
    nanoseconds,
    flops,
    bytes,
  });
  const dispatches = [
    call('add', 'small', 1000, 0, 4e5), // 1 µs at the ceiling
    call('matmul', 'large', 4000, 2e6, 0), // 2 µs
    call('add', 'large', 5000, 1e6, 8e5), // 2 µs
  ];
  expect(sumByKernel(dispatches, { ceiling })).toEqual([
    {
      op: 'add',
      kernel: 'k/k',
      variant: 'plain',
      calls: 2,
      nanoseconds: 6000,
      share: 0.6,
      flops: 1e6,
      bytes: 12e5,
      ofCeiling: expect.closeTo(3000 / 6000, 9) as number,
    },
    expect.objectContaining({ op: 'matmul', calls: 1, share: 0.4, ofCeiling: expect.closeTo(0.5, 9) as number }),
  ]);
  expect(sumByKernel(dispatches).map(({ ofCeiling }) => ofCeiling)).toEqual([null, null]);
  expect(sumByKernel(dispatches, { byTypes: true }).map(({ op, types }) => [op, types])).toEqual([
    ['add', 'large'],
    ['matmul', 'large'],
    ['add', 'small'],
  ]);
  const untimed = [call('add', '', 0, 0, 8)];
  expect(sumByKernel(untimed, { ceiling })).toEqual([expect.objectContaining({ share: 0, ofCeiling: null })]);
});
