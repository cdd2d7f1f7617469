import { expect, it } from 'vitest';
import { fill } from './fill.js';
import { fillReference } from '../reference/fill.js';
import { runKernels } from '../run-kernels.js';
import { emptyOutput, readF32, testGpu } from '../testing/test-gpu.js';

it.each([
  { n: 1, value: 1.1 },
  { n: 131, value: 0 },
  { n: 1024, value: -3e-20 },
  { n: 5003, value: 7, limit: 4096 },
])('fill: $n times $value and nothing after', async ({ n, value, limit }) => {
  const gpu = await testGpu();
  const profile = {
    ...gpu.profile,
    limits: { ...gpu.profile.limits, ...(limit && { maxStorageBufferBindingSize: limit }) },
  };
  const out = emptyOutput(gpu, n + 3);
  await runKernels(gpu, fill(profile, { out, n, value }));
  const found = await readF32(gpu, out, n + 3);
  expect(found.subarray(0, n)).toEqual(fillReference(n, value));
  expect(found.subarray(n)).toEqual(new Float32Array(3).fill(Number.NaN));
});
