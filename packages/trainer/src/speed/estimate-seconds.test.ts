import type { KernelCall, MatmulProduct } from '@lapidary/kernels';
import { expect, test } from 'vitest';
import { estimateSeconds } from './estimate-seconds.js';
import type { DeviceSpeed } from './measure-speed.js';

/** Products of 1 TFLOP/s (bf16) and half as much (f32); weights at 100 GB/s; copies of 10 MB at 400 GB/s, larger ones at 200. */
const speed: DeviceSpeed = {
  ceiling: {
    flopsPerSecond: 4e12,
    copies: [
      { bytes: 1e7, bytesPerSecond: 400e9 },
      { bytes: 1e9, bytesPerSecond: 200e9 },
    ],
  },
  products: [
    { rows: 1024, dtype: 'f32', precision: 'float32', flopsPerSecond: 0.5e12, bytesPerSecond: 1 },
    { rows: 1024, dtype: 'bf16', precision: 'float16', flopsPerSecond: 9e12, bytesPerSecond: 1 },
    { rows: 1024, dtype: 'bf16', precision: 'float32', flopsPerSecond: 1e12, bytesPerSecond: 1 },
    { rows: 1, dtype: 'bf16', precision: 'float32', flopsPerSecond: 1, bytesPerSecond: 100e9 },
  ],
  dispatchSeconds: 1e-5,
  runSeconds: 1e-3,
};
const call = (flops: number, bytes: number, product?: Partial<MatmulProduct>): KernelCall<never> => ({
  shader: 'any',
  uniforms: new Uint32Array(),
  bindings: [],
  workgroups: [1, 1, 1],
  variant: 'plain',
  work: { flops, bytes },
  ...(product && {
    product: { m: 512, n: 8, k: 8, batch: 1, transposeA: false, transposeB: true, dtype: 'bf16', ...product },
  }),
});
/** Without what each run and each kernel takes. */
const secondsOf = (...calls: KernelCall<never>[]) => estimateSeconds({ calls }, speed) - 1e-3 - calls.length * 1e-5;

test('a run and each of its kernels take a time of their own', () => {
  expect(estimateSeconds({ calls: [] }, speed)).toBe(1e-3);
  expect(estimateSeconds({ calls: [call(0, 0), call(0, 0)] }, speed)).toBeCloseTo(1.02e-3, 12);
});

test('a product takes as long as one of its type that was measured, or as its bytes', () => {
  expect(secondsOf(call(1e9, 1e6, {}))).toBeCloseTo(1e-3, 9);
  expect(secondsOf(call(1e9, 1e6, { dtype: 'f32' }))).toBeCloseTo(2e-3, 9);
  // Of a type that was not measured: as bf16.
  expect(secondsOf(call(1e9, 1e6, { dtype: 'q4_0' }))).toBeCloseTo(1e-3, 9);
  expect(secondsOf(call(1e6, 4e8, {}))).toBeCloseTo(2e-3, 9);
});

test('a product of few rows waits for its weights', () => {
  expect(secondsOf(call(1e12, 1e8, { m: 1 }))).toBeCloseTo(1e-3, 9);
  expect(secondsOf(call(1e12, 1e8, { m: 8, dtype: 'f32' }))).toBeCloseTo(1e-3, 9);
});

test('all else takes as long as copies, or as f32 products', () => {
  expect(secondsOf(call(0, 4e6))).toBeCloseTo(1e-5, 9);
  expect(secondsOf(call(0, 4e8), call(1e9, 0))).toBeCloseTo(2e-3 + 2e-3, 9);
});
