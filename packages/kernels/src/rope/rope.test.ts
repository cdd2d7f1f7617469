import { expect, test } from 'vitest';
import { ropeReference } from '../reference/rope.js';
import { rope, ropeInverseFrequencies } from './rope.js';
import { runKernels } from '../run-kernels.js';
import { emptyOutput, randomArray, readF32, relativeError, testGpu, upload } from '../testing/test-gpu.js';
import { bindingFaults, withBindingLimit } from '../testing/tiny-profile.js';

test.each([
  { rows: 1, heads: 1, headDim: 2, theta: 10_000, scalingFactor: 1, rotatedPairs: 1, limit: 0 },
  { rows: 13, heads: 3, headDim: 10, theta: 10_000, scalingFactor: 1, rotatedPairs: 5, limit: 0 },
  { rows: 5, heads: 4, headDim: 256, theta: 1_000_000, scalingFactor: 8, rotatedPairs: 128, limit: 0 },
  { rows: 5, heads: 2, headDim: 512, theta: 1_000_000, scalingFactor: 1, rotatedPairs: 64, limit: 0 },
  { rows: 5, heads: 2, headDim: 6, theta: 10_000, scalingFactor: 1, rotatedPairs: 0, limit: 0 },
  { rows: 70, heads: 1, headDim: 6, theta: 10_000, scalingFactor: 1, rotatedPairs: 2, limit: 1024 },
])(
  '$rows × $heads × $headDim, theta $theta / $scalingFactor, $rotatedPairs pairs, bindings up to $limit',
  async ({ limit, ...shape }) => {
    const gpu = await testGpu();
    const profile = limit ? withBindingLimit(gpu.profile, limit) : gpu.profile;
    const n = shape.rows * shape.heads * shape.headDim;
    const x = randomArray(n, 1);
    // Near and far positions, not in order; the other components must not matter.
    const positions = Array.from({ length: shape.rows }, (_, i) => [0, 1, 131_071, 8_191, 77][i % 5]! + (i >> 3));
    const info = upload(
      gpu,
      positions.flatMap((p) => [-7, 99, p, 1]),
      'i32',
    );
    const frequencies = ropeInverseFrequencies(shape.headDim, shape.theta, shape.scalingFactor, shape.rotatedPairs);
    const out = emptyOutput(gpu, n);
    const back = emptyOutput(gpu, n);
    const calls = [
      ...rope(profile, { ...shape, x: upload(gpu, x), tokenInfo: info, out, inverse: false }),
      ...rope(profile, { ...shape, x: out, tokenInfo: info, out: back, inverse: true }),
    ];
    expect(bindingFaults(calls, profile.limits.maxStorageBufferBindingSize)).toEqual([]);
    if (limit) expect(calls.length).toBeGreaterThan(2);
    await runKernels(gpu, calls);
    const expected = ropeReference(x, positions, frequencies, { ...shape, inverse: false });
    expect(relativeError(await readF32(gpu, out, n), expected)).toBeLessThan(5e-7);
    expect(relativeError(await readF32(gpu, back, n), x)).toBeLessThan(5e-7);
    const [turned, half] = [await readF32(gpu, out, n), shape.headDim / 2];
    const unturned = (values: Float32Array) => values.filter((_, i) => i % half >= shape.rotatedPairs);
    expect(unturned(turned)).toEqual(unturned(x));
  },
);

test('inverse frequencies fall from 1 to nearly 1 / theta, divided by the scaling factor', () => {
  const frequencies = ropeInverseFrequencies(256, 10_000, 8, 128);
  expect(frequencies[0]).toBe(0.125);
  expect(frequencies[64]).toBeCloseTo(0.01 / 8, 9);
  expect(frequencies).toHaveLength(128);
});

test('fewer pairs turn as fast as among all, the others not at all', () => {
  const all = ropeInverseFrequencies(512, 1e6, 1, 256);
  const some = ropeInverseFrequencies(512, 1e6, 1, 64);
  expect(some.subarray(0, 64)).toEqual(all.subarray(0, 64));
  expect(some.subarray(64)).toEqual(new Float32Array(192));
});

test('an odd head dimension is refused, and a number of pairs that it does not have', async () => {
  const gpu = await testGpu();
  const x = upload(gpu, [0, 0, 0]);
  const shape = { rows: 1, heads: 1, headDim: 4, theta: 1e4, scalingFactor: 1, rotatedPairs: 2 };
  const args = { x, tokenInfo: x, out: x, ...shape, inverse: false };
  expect(() => rope(gpu.profile, { ...args, headDim: 3 })).toThrow(/even/);
  for (const rotatedPairs of [-1, 1.5, 3, NaN])
    expect(() => rope(gpu.profile, { ...args, rotatedPairs })).toThrow(`of 2 pairs ${rotatedPairs} cannot turn`);
});
