import type { DeviceProfile } from '@lapidary/gpu';
import { describe, expect, it } from 'vitest';
import { stridedCopyReference } from '../reference/strided-copy.js';
import { runKernels } from '../run-kernels.js';
import { stridedCopy } from './strided-copy.js';
import { emptyOutput, readF32, testGpu, upload } from '../testing/test-gpu.js';

interface Case {
  shape: number[];
  inStrides: number[];
  outStrides: number[];
  inOffset?: number;
  outOffset?: number;
  limit?: number;
}

async function run({ shape, inStrides, outStrides, inOffset = 0, outOffset = 0, limit }: Case) {
  const gpu = await testGpu();
  const profile: DeviceProfile = limit
    ? { ...gpu.profile, limits: { ...gpu.profile.limits, maxStorageBufferBindingSize: limit } }
    : gpu.profile;
  const span = (strides: number[], offset: number) =>
    offset + shape.reduce((sum, d, i) => sum + (d - 1) * strides[i]!, 1);
  const x = Float32Array.from({ length: span(inStrides, inOffset) + 3 }, (_, i) => i + 1);
  const outLength = span(outStrides, outOffset) + 5;
  const out = emptyOutput(gpu, outLength);
  const args = { shape, inStrides, outStrides, inOffset, outOffset };
  const calls = stridedCopy(profile, { x: upload(gpu, x), out, ...args });
  for (const { bindings } of calls) {
    for (const { offset, size } of bindings) {
      expect(offset % 256).toBe(0);
      if (limit) expect(size).toBeLessThanOrEqual(limit);
    }
  }
  await runKernels(gpu, calls);
  const expected = new Float32Array(outLength).fill(Number.NaN);
  stridedCopyReference(x, expected, args);
  expect(await readF32(gpu, out, outLength)).toEqual(expected);
  return calls;
}

describe('stridedCopy', () => {
  it.each<[string, Case]>([
    ['one value', { shape: [1], inStrides: [1], outStrides: [1] }],
    ['a scalar', { shape: [], inStrides: [], outStrides: [], inOffset: 70, outOffset: 3 }],
    ['contiguous, odd', { shape: [7, 13], inStrides: [13, 1], outStrides: [13, 1] }],
    ['contiguous, vec4', { shape: [8, 64], inStrides: [64, 1], outStrides: [64, 1], inOffset: 68, outOffset: 4 }],
    ['transpose', { shape: [17, 13], inStrides: [1, 17], outStrides: [13, 1] }],
    ['slice of rows', { shape: [5, 8], inStrides: [20, 1], outStrides: [8, 1], inOffset: 4 }],
    ['slice of rows, unaligned', { shape: [5, 8], inStrides: [20, 1], outStrides: [8, 1], inOffset: 5 }],
    ['into a column window', { shape: [3, 12], inStrides: [12, 1], outStrides: [28, 1], outOffset: 16 }],
    ['broadcast', { shape: [3, 5, 7], inStrides: [0, 1, 0], outStrides: [35, 7, 1] }],
    ['broadcast of rows', { shape: [3, 5, 8], inStrides: [0, 8, 1], outStrides: [40, 8, 1] }],
    ['rank 6', { shape: [2, 3, 2, 3, 2, 5], inStrides: [1, 2, 6, 12, 36, 72], outStrides: [180, 60, 30, 10, 5, 1] }],
  ])('%s', async (_, shape) => {
    await run(shape);
  });

  it.each<[string, Case, number]>([
    ['contiguous', { shape: [5003], inStrides: [1], outStrides: [1], inOffset: 3, outOffset: 9, limit: 4096 }, 8],
    ['slices', { shape: [100, 40], inStrides: [100, 1], outStrides: [40, 1], inOffset: 7, limit: 4096 }, 32],
    [
      'transpose, both sides too large',
      { shape: [101, 103], inStrides: [103, 1], outStrides: [1, 101], limit: 8192 },
      300,
    ],
  ])('in windows: %s', async (_, shape, most) => {
    const calls = await run(shape);
    expect(calls.length).toBeGreaterThan(1);
    expect(calls.length).toBeLessThanOrEqual(most);
  });

  it('refuses seven dimensions', async () => {
    const { profile } = await testGpu();
    const x = { buffer: 0, offset: 0, dtype: 'f32' as const };
    const sevens = [2, 2, 2, 2, 2, 2, 2];
    expect(() =>
      stridedCopy(profile, {
        x,
        out: x,
        shape: sevens,
        inStrides: sevens,
        outStrides: sevens,
        inOffset: 0,
        outOffset: 0,
      }),
    ).toThrow(/7 dimensions/);
  });
});
