import { expect, it } from 'vitest';
import { fmaProbe } from './fma-probe.js';
import { workOf } from '../kernel-call.js';
import { runKernels } from '../run-kernels.js';
import { emptyOutput, readF32, testGpu } from '../testing/test-gpu.js';

it('computes every multiply-add that it counts, and writes nothing after', async () => {
  const gpu = await testGpu();
  const [n, rounds, a, b] = [70, 3, 0.75, -0.5];
  const out = emptyOutput(gpu, n + 3);
  const calls = fmaProbe(gpu.profile, { out, n, rounds, a, b });
  await runKernels(gpu, calls);
  let steps = 0;
  const expected = Array.from({ length: n }, (_, i) => {
    let sum = 0;
    for (let j = 0; j < 16; j++) {
      let x = i + j;
      for (let step = 0; step < rounds * 8; step++, steps++) x = x * a + b;
      sum += x;
    }
    return sum;
  });
  const found = await readF32(gpu, out, n + 3);
  expected.forEach((value, i) => expect(Math.abs(found[i]! / value - 1)).toBeLessThan(1e-5));
  expect(found.subarray(n)).toEqual(new Float32Array(3).fill(Number.NaN));
  expect(workOf(calls[0]!)).toEqual({ flops: 2 * steps, bytes: n * 4 });
});
