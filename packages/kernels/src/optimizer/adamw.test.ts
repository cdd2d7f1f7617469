import type { DeviceProfile } from '@lapidary/gpu';
import { describe, expect, it } from 'vitest';
import { fixtureTensors } from '../../../../test/support/safetensors-fixture.js';
import { adamw } from './adamw.js';
import { adamwReference, type AdamWReferenceState } from '../reference/adamw.js';
import { runKernels } from '../run-kernels.js';
import { randomArray, readF32, relativeError, testGpu, upload } from '../testing/test-gpu.js';

interface Start {
  param: Float32Array;
  m: Float32Array;
  v: Float32Array;
}
interface Step {
  grad: Float32Array;
  hyper: number[];
  norm2: number;
}

async function run(
  { param, m, v }: Start,
  steps: readonly Step[],
  { decayScale = 1, limit }: { decayScale?: number; limit?: number } = {},
) {
  const gpu = await testGpu();
  const profile: DeviceProfile = limit
    ? { ...gpu.profile, limits: { ...gpu.profile.limits, maxStorageBufferBindingSize: limit } }
    : gpu.profile;
  const n = param.length;
  const state = { param: upload(gpu, param), m: upload(gpu, m), v: upload(gpu, v) };
  const after: Start[] = [];
  for (const { grad, hyper, norm2 } of steps) {
    const operands = { grad: upload(gpu, grad), hyper: upload(gpu, hyper), gradNormSquared: upload(gpu, [norm2]) };
    await runKernels(gpu, adamw(profile, { ...state, ...operands, n, weightDecayScale: decayScale }));
    after.push({
      param: await readF32(gpu, state.param, n),
      m: await readF32(gpu, state.m, n),
      v: await readF32(gpu, state.v, n),
    });
  }
  return after;
}

const start = (n: number): Start => ({
  param: randomArray(n, 1),
  m: randomArray(n, 2, 0.1),
  v: randomArray(n, 3, 0.1).map((x) => x * x),
});
const hyper = [0.01, 0.9, 0.95, 1e-8, 0.1, 1 - 0.9 ** 3, 1 - 0.95 ** 3, 1, 1 - 0.9, 1 - 0.95];

describe('adamw', () => {
  it.each([
    { name: 'adamw-decay-0.0', learningRate: 1e-3, decay: 0 },
    { name: 'adamw-decay-0.01', learningRate: 1e-2, decay: 0.01 },
  ])('is torch.optim.AdamW: $name', async ({ name, learningRate, decay }) => {
    const tensors = await fixtureTensors('ops/optimizer.safetensors');
    const get = (key: string) => tensors.get(`${name}/${key}`)!;
    const param = get('in/p').data as Float32Array;
    const g = get('in/g');
    const [count, n] = g.shape as [number, number];
    const steps = Array.from({ length: count }, (_, i) => ({
      grad: (g.data as Float32Array).slice(i * n, (i + 1) * n),
      hyper: [learningRate, 0.9, 0.95, 1e-8, decay, 1 - 0.9 ** (i + 1), 1 - 0.95 ** (i + 1), 0, 1 - 0.9, 1 - 0.95],
      norm2: 1,
    }));
    const after = await run({ param, m: new Float32Array(n), v: new Float32Array(n) }, steps);
    for (const key of ['p', 'm', 'v'] as const) {
      const found = after.flatMap((s) => [...s[key === 'p' ? 'param' : key]]);
      expect(relativeError(found, get(`out/${key}`).data), key).toBeLessThan(1e-6);
    }
  });

  it.each([{ n: 1 }, { n: 131 }, { n: 132 }, { n: 5003, limit: 4096 }, { n: 5004, limit: 4096 }])(
    'clips and decays $n values',
    async ({ n, limit }) => {
      const begin = start(n);
      const grad = randomArray(n, 5);
      for (const [norm2, decayScale] of [
        [9, 1],
        [0.25, 0],
        [0, 0.5],
      ] as const) {
        const [found] = await run(begin, [{ grad, hyper, norm2 }], { decayScale, ...(limit && { limit }) });
        const double: AdamWReferenceState = {
          param: Float64Array.from(begin.param),
          m: Float64Array.from(begin.m),
          v: Float64Array.from(begin.v),
        };
        const expected = adamwReference(double, grad, hyper, norm2, decayScale);
        expect(relativeError(found!.param, expected.param)).toBeLessThan(1e-6);
        expect(relativeError(found!.m, expected.m)).toBeLessThan(1e-6);
        expect(relativeError(found!.v, expected.v)).toBeLessThan(2e-6);
      }
    },
  );

  it.each([Number.NaN, Number.POSITIVE_INFINITY])('changes nothing when the squared norm is %d', async (norm2) => {
    for (const n of [7, 8]) {
      const begin = start(n);
      const [found] = await run(begin, [{ grad: randomArray(n, 5), hyper, norm2 }]);
      expect(found).toEqual(begin);
    }
  });
});
