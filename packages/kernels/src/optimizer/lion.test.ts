import { describe, expect, it } from 'vitest';
import { lion } from './lion.js';
import { lionReference } from '../reference/lion.js';
import { runKernels } from '../run-kernels.js';
import { randomArray, readF32, relativeError, testGpu, upload } from '../testing/test-gpu.js';
import { withBindingLimit } from '../testing/tiny-profile.js';

const hyper = [0.05, 0.1, 0.01, 0.1, 1];
const scales = { rate: 0.5, decay: 2 };

async function run({ n, limit, norm2 = 9 }: { n: number; limit?: number; norm2?: number }) {
  const gpu = await testGpu();
  const profile = limit ? withBindingLimit(gpu.profile, limit) : gpu.profile;
  const [p, g, m] = [randomArray(n, 1), randomArray(n, 2), randomArray(n, 3)];
  // Nothing remembered and nothing new: such an element only decays.
  g[0] = m[0] = 0;
  const [param, momentum] = [upload(gpu, p), upload(gpu, m)];
  await runKernels(
    gpu,
    lion(profile, {
      param,
      grad: upload(gpu, g),
      m: momentum,
      hyper: upload(gpu, hyper),
      gradNormSquared: upload(gpu, [norm2]),
      n,
      learningRateScale: scales.rate,
      weightDecayScale: scales.decay,
    }),
  );
  const before = { param: Float64Array.from(p), m: Float64Array.from(m) };
  const expected = lionReference(before, g, hyper, norm2, scales);
  return { expected, p, m, param: await readF32(gpu, param, n), momentum: await readF32(gpu, momentum, n) };
}

describe('lion', () => {
  it.each([{ n: 1 }, { n: 131 }, { n: 132, norm2: 0.25 }, { n: 5003, limit: 4096 }, { n: 5004, limit: 4096 }])(
    '%j',
    async (c) => {
      const { expected, param, momentum } = await run(c);
      expect(relativeError(param, expected.param)).toBeLessThan(3e-7);
      expect(relativeError(momentum, expected.m)).toBeLessThan(3e-7);
    },
  );

  it.each([Number.NaN, Number.POSITIVE_INFINITY])('changes nothing when the squared norm is %d', async (norm2) => {
    for (const n of [7, 8]) {
      const { param, momentum, p, m } = await run({ n, norm2 });
      expect([param, momentum]).toEqual([p, m]);
    }
  });
});
