import type { DeviceProfile } from '@lapidary/gpu';
import { describe, expect, it } from 'vitest';
import { sgdReference } from '../reference/sgd.js';
import { runKernels } from '../run-kernels.js';
import { sgd } from './sgd.js';
import { randomArray, readF32, relativeError, testGpu, upload } from '../testing/test-gpu.js';
import { withBindingLimit } from '../testing/tiny-profile.js';

interface Case {
  readonly n: number;
  readonly hasMomentum?: boolean;
  readonly nesterov?: boolean;
  readonly limit?: number;
  readonly norm2?: number;
}

const hyper = [0.05, 0.9, 0.1, 1];
const scales = { rate: 0.5, decay: 2 };

async function run({ n, hasMomentum = true, nesterov = false, limit, norm2 = 9 }: Case) {
  const gpu = await testGpu();
  const profile: DeviceProfile = limit ? withBindingLimit(gpu.profile, limit) : gpu.profile;
  const [p, g, m] = [randomArray(n, 1), randomArray(n, 2), randomArray(n, 3)];
  const [param, momentum] = [upload(gpu, p), upload(gpu, m)];
  await runKernels(
    gpu,
    sgd(profile, {
      param,
      grad: upload(gpu, g),
      ...(hasMomentum && { m: momentum }),
      hyper: upload(gpu, hyper),
      gradNormSquared: upload(gpu, [norm2]),
      n,
      nesterov,
      learningRateScale: scales.rate,
      weightDecayScale: scales.decay,
    }),
  );
  const before = { param: Float64Array.from(p), m: hasMomentum ? Float64Array.from(m) : undefined };
  const expected = sgdReference(before, g, hyper, norm2, nesterov, scales);
  return { expected, p, m, param: await readF32(gpu, param, n), momentum: await readF32(gpu, momentum, n) };
}

describe('sgd', () => {
  it.each([
    { n: 1 },
    { n: 131, nesterov: true },
    { n: 132 },
    { n: 132, hasMomentum: false },
    { n: 5003, limit: 4096, nesterov: true },
    { n: 5004, limit: 4096 },
    { n: 5, norm2: 0.25 },
  ])('%j', async (c) => {
    const { expected, param, momentum, m } = await run(c);
    expect(relativeError(param, expected.param)).toBeLessThan(3e-7);
    expect(relativeError(momentum, expected.m ?? m)).toBeLessThan(3e-7);
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY])('changes nothing when the squared norm is %d', async (norm2) => {
    for (const n of [7, 8]) {
      const { param, momentum, p, m } = await run({ n, norm2 });
      expect([param, momentum]).toEqual([p, m]);
    }
  });
});
