import type { DeviceProfile } from '@lapidary/gpu';
import { describe, expect, it } from 'vitest';
import { adafactor, type AdafactorKernelArgs } from './adafactor.js';
import type { Operand } from '../kernel-call.js';
import { adafactorReference } from '../reference/adafactor.js';
import { runKernels } from '../run-kernels.js';
import { emptyOutput, randomArray, readF32, relativeError, testGpu, upload } from '../testing/test-gpu.js';
import { asGpu, bindingFaults, withBindingLimit } from '../testing/tiny-profile.js';
import { BindingLimitError } from '../windows.js';

interface Shape {
  readonly batch: number;
  readonly rows: number;
  readonly columns: number;
}

const hyper = [0.02, 0.3, 0.5, 1e-3, 1e-3, 1, 0.1, 1];
const scales = { rate: 0.5, decay: 2 };

/** One update of matrices, or of a vector where `isVector`. */
async function run(
  profile: DeviceProfile,
  { batch, rows, columns }: Shape,
  { isVector = false, norm2 = 9, h = hyper }: { isVector?: boolean; norm2?: number; h?: readonly number[] } = {},
) {
  const gpu = await testGpu();
  const n = batch * rows * columns;
  const [p, g] = [randomArray(n, 1), randomArray(n, 2, 0.5)];
  const first = randomArray(isVector ? n : batch * rows, 3).map((x) => x * x);
  const second = isVector ? undefined : randomArray(batch * columns, 4).map((x) => x * x);
  const [param, firstOnGpu] = [upload(gpu, p), upload(gpu, first)];
  const secondOnGpu = second && upload(gpu, second);
  const moments: AdafactorKernelArgs<GPUBuffer>['moments'] = secondOnGpu
    ? { batch, rows, columns, row: firstOnGpu, col: secondOnGpu }
    : { n, v: firstOnGpu };
  let scratch = 0;
  const workspace = (bytes: number): Operand<GPUBuffer> => {
    scratch += bytes;
    return emptyOutput(gpu, bytes / 4);
  };
  const calls = adafactor(profile, {
    param,
    grad: upload(gpu, g),
    moments,
    hyper: upload(gpu, [...h]),
    gradNormSquared: upload(gpu, [norm2]),
    learningRateScale: scales.rate,
    weightDecayScale: scales.decay,
    workspace,
  });
  expect(bindingFaults(calls, profile.limits.maxStorageBufferBindingSize)).toEqual([]);
  await runKernels(gpu, calls);
  const expected = adafactorReference(
    { param: Float64Array.from(p), first: Float64Array.from(first), second: second && Float64Array.from(second) },
    g,
    { batch, rows, columns },
    h,
    norm2,
    scales,
  );
  return {
    calls,
    scratch,
    expected,
    param: await readF32(gpu, param, n),
    first: await readF32(gpu, firstOnGpu, first.length),
    second: secondOnGpu && (await readF32(gpu, secondOnGpu, second.length)),
  };
}

describe.each(['plain', 'workgroup'])('adafactor, %s', (variant) => {
  const profileOf = async (limit?: number) => {
    const { profile } = await testGpu();
    const chosen = variant === 'workgroup' ? asGpu(profile) : profile;
    return limit ? withBindingLimit(chosen, limit) : chosen;
  };

  it.each([
    { batch: 1, rows: 1, columns: 1 },
    { batch: 1, rows: 5, columns: 3 },
    { batch: 3, rows: 4, columns: 5 },
    { batch: 1, rows: 130, columns: 70 },
    { batch: 2, rows: 65, columns: 33 },
    { batch: 40, rows: 3, columns: 2 },
    { batch: 3, rows: 6, columns: 8 },
    // More chunks than a team has members, and longer ones.
    { batch: 1, rows: 1100, columns: 257 },
    // Larger than a binding: windows of whole parts that begin anywhere.
    { batch: 1, rows: 130, columns: 70, limit: 16384 },
    { batch: 3, rows: 45, columns: 31, limit: 8192 },
    { batch: 1, rows: 300, columns: 64, limit: 16384 },
  ])('[$batch, $rows, $columns], bindings of $limit bytes', async ({ limit, ...shape }) => {
    const { calls, expected, scratch, ...found } = await run(await profileOf(limit), shape);
    expect(relativeError(found.first, expected.first)).toBeLessThan(5e-7);
    expect(relativeError(found.second!, expected.second!)).toBeLessThan(5e-7);
    expect(relativeError(found.param, expected.param)).toBeLessThan(5e-7);
    if (limit) expect(calls.length).toBeGreaterThan(5);
    else expect(calls.length).toBe(5);
    if (shape.rows > 64) expect(scratch).toBeLessThan((shape.batch * shape.rows * shape.columns * 4) / 20 + 10_000);
  });

  it.each([{ n: 1 }, { n: 7 }, { n: 5003 }, { n: 5004, limit: 8192 }])(
    'a vector of $n, $limit',
    async ({ n, limit }) => {
      const shape = { batch: 1, rows: 1, columns: n };
      const { calls, expected, ...found } = await run(await profileOf(limit), shape, { isVector: true });
      expect(relativeError(found.first, expected.first)).toBeLessThan(5e-7);
      expect(relativeError(found.param, expected.param)).toBeLessThan(5e-7);
      expect(calls.length).toBe(limit ? 7 : 3);
    },
  );

  it.each([Number.NaN, Number.POSITIVE_INFINITY])('changes nothing where the squared norm is %d', async (norm2) => {
    for (const isVector of [false, true]) {
      const found = await run(await profileOf(), { batch: 2, rows: 3, columns: 9 }, { isVector, norm2 });
      expect(found.param).toEqual(Float32Array.from(found.expected.param));
      expect(found.first).toEqual(Float32Array.from(found.expected.first));
    }
  });

  it('keeps the digits of small gradients', async () => {
    // Moments of 1e-13: their product is below what f32 can hold apart from 0.
    const tiny = [0.02, 1, 0.5, 1e-12, 1e-3, 1, 0, 1];
    const found = await run(await profileOf(), { batch: 1, rows: 40, columns: 20 }, { norm2: 1e14, h: tiny });
    expect(relativeError(found.param, found.expected.param)).toBeLessThan(5e-7);
  });
});

it('refuses rows that no binding holds', async () => {
  const { profile } = await testGpu();
  await expect(run(withBindingLimit(profile, 4096), { batch: 1, rows: 64, columns: 600 })).rejects.toThrow(
    BindingLimitError,
  );
});
