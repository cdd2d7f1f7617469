import type { DeviceProfile } from '@lapidary/gpu';
import { describe, expect, it } from 'vitest';
import { sumOfSquaresReference } from '../reference/sum-of-squares.js';
import { runKernels } from '../run-kernels.js';
import { sumOfSquares, sumOfSquaresWorkspaceElements } from './sum-of-squares.js';
import { emptyOutput, randomArray, readF32, testGpu, upload } from '../testing/test-gpu.js';

async function run(xs: readonly Float32Array[], limit?: number) {
  const gpu = await testGpu();
  const profile: DeviceProfile = limit
    ? { ...gpu.profile, limits: { ...gpu.profile.limits, maxStorageBufferBindingSize: limit } }
    : gpu.profile;
  const out = emptyOutput(gpu, 1);
  const calls = sumOfSquares(profile, {
    xs: xs.map((x) => ({ x: upload(gpu, x), n: x.length })),
    out,
    workspace: emptyOutput(gpu, sumOfSquaresWorkspaceElements(xs.map((x) => x.length))),
  });
  await runKernels(gpu, calls);
  return { found: (await readF32(gpu, out, 1))[0]!, calls };
}

describe('sumOfSquares', () => {
  it.each([
    { sizes: [1] },
    { sizes: [1024, 1025, 7, 4096] },
    { sizes: [3, 131, 5003, 1] },
    { sizes: [1_200_004, 640, 2_000_003] },
  ])('tensors of $sizes', async ({ sizes }) => {
    const xs = sizes.map((n, i) => randomArray(n, n + i));
    const expected = sumOfSquaresReference(xs);
    const { found } = await run(xs);
    expect(Math.abs(found / expected - 1)).toBeLessThan(1e-6);
    expect((await run(xs)).found).toBe(found);
  });

  it('walks a tensor beyond one binding in windows', async () => {
    const xs = [randomArray(20_001, 1), randomArray(9, 2)];
    const { found, calls } = await run(xs, 16_384);
    expect(calls.length).toBe(5 + 1 + 1);
    for (const { bindings } of calls) for (const { size } of bindings) expect(size).toBeLessThanOrEqual(16_384);
    expect(Math.abs(found / sumOfSquaresReference(xs) - 1)).toBeLessThan(1e-6);
  });

  it('lets NaN and infinity through', async () => {
    const spoilt = (value: number, at: number) => {
      const x = randomArray(5000, 4);
      x[at] = value;
      return x;
    };
    expect((await run([randomArray(9, 1), spoilt(Number.NaN, 4999)])).found).toBeNaN();
    expect((await run([spoilt(Number.NEGATIVE_INFINITY, 1)])).found).toBe(Number.POSITIVE_INFINITY);
    expect((await run([spoilt(1e30, 2000)])).found).toBe(Number.POSITIVE_INFINITY);
  });

  it('of nothing is 0', async () => {
    expect((await run([])).found).toBe(0);
  });
});
