import type { DeviceProfile } from '@lapidary/gpu';
import { describe, expect, test } from 'vitest';
import { rmsNormBackwardReference, rmsNormReference } from '../reference/rms-norm.js';
import { rmsNorm, rmsNormBackward, rmsNormWeightGrad } from './rms-norm.js';
import { runKernels } from '../run-kernels.js';
import { randomStored } from '../testing/half-floats.js';
import { randomCases } from '../testing/random-cases.js';
import { emptyOutput, randomArray, readF32, relativeError, testGpu, upload, uploadBytes } from '../testing/test-gpu.js';
import { asGpu, bindingFaults, withBindingLimit } from '../testing/tiny-profile.js';

const forward = 5e-7;
const backward = 3e-6;

interface Case {
  rows: number;
  dim: number;
  /** Of the weight; null: there is none. */
  dtype: 'f32' | 'bf16' | 'f16' | null;
  weightOffset: number;
  limit: number;
}

const cases: Case[] = [
  { rows: 1, dim: 1, dtype: 'f32', weightOffset: 1, limit: 0 },
  { rows: 37, dim: 13, dtype: 'f32', weightOffset: 0, limit: 0 },
  { rows: 5, dim: 320, dtype: 'f32', weightOffset: 1, limit: 0 },
  { rows: 3, dim: 1152, dtype: 'bf16', weightOffset: 1, limit: 0 },
  { rows: 7, dim: 29, dtype: 'f16', weightOffset: 1, limit: 0 },
  { rows: 5, dim: 64, dtype: null, weightOffset: 1, limit: 0 },
  { rows: 130, dim: 13, dtype: null, weightOffset: 1, limit: 4096 },
  { rows: 130, dim: 13, dtype: 'f32', weightOffset: 1, limit: 4096 },
  { rows: 101, dim: 24, dtype: 'bf16', weightOffset: 1, limit: 6144 },
];
const drawn = randomCases(
  8,
  1,
  ({ int, pick }): Case => ({
    rows: int(1, 70),
    dim: pick([int(1, 300), 8 * int(1, 40)]),
    dtype: pick(['f32', 'bf16', 'f16']),
    weightOffset: pick([0, 1]),
    limit: 0,
  }),
);

describe.each([
  { name: 'it is', as: (profile: DeviceProfile) => profile },
  { name: 'a GPU', as: asGpu },
])('a device as $name', ({ as }) => {
  test.each([...cases.map((c) => [JSON.stringify(c), c] as const), ...drawn])('%s', async (_, c) => {
    const gpu = await testGpu();
    const { rows, dim, dtype, weightOffset } = c;
    const eps = 1e-6;
    const onDevice = as(gpu.profile);
    const profile = c.limit ? withBindingLimit(onDevice, c.limit) : onDevice;
    const x = randomArray(rows * dim, 1, 3);
    const dOut = randomArray(rows * dim, 2);
    const stored = dtype && randomStored(dim, 3, dtype);
    const weights = stored ? stored.values : new Float32Array(dim);
    const shape = { rows, dim, eps, weightOffset };
    const on = { x: upload(gpu, x), dOut: upload(gpu, dOut) };
    const weight = stored && dtype ? { weight: uploadBytes(gpu, stored.bytes, dtype) } : {};
    const out = emptyOutput(gpu, rows * dim);
    const dX = emptyOutput(gpu, rows * dim);
    const dWeight = emptyOutput(gpu, dim);
    const workspace = emptyOutput(gpu, rows);
    const calls = [
      ...rmsNorm(profile, { ...shape, x: on.x, ...weight, out }),
      ...rmsNormBackward(profile, { ...shape, x: on.x, ...weight, dOut: on.dOut, dX }),
      ...rmsNormWeightGrad(profile, { x: on.x, dOut: on.dOut, dWeight, workspace, rows, dim, eps }),
    ];
    expect(bindingFaults(calls, profile.limits.maxStorageBufferBindingSize)).toEqual([]);
    if (c.limit) expect(calls.length).toBeGreaterThan(4);
    await runKernels(gpu, calls);

    const grads = rmsNormBackwardReference(x, weights, dOut, shape);
    const y = rmsNormReference(x, weights, shape);
    expect(relativeError(await readF32(gpu, out, rows * dim), y)).toBeLessThan(forward);
    // One value alone has a gradient of nothing but eps: what is left of two equal numbers.
    if (dim > 1) expect(relativeError(await readF32(gpu, dX, rows * dim), grads.dX)).toBeLessThan(backward);
    else expect(Math.abs((await readF32(gpu, dX, 1))[0]! - grads.dX[0]!)).toBeLessThan(backward);
    expect(relativeError(await readF32(gpu, dWeight, dim), grads.dWeight)).toBeLessThan(backward);
  });

  test.each([
    { rows: 5, dim: 40, limit: 0, isWeighted: true },
    { rows: 5, dim: 40, limit: 0, isWeighted: false },
    { rows: 130, dim: 13, limit: 4096, isWeighted: true },
  ])('added to something: $rows × $dim, weight $isWeighted, bindings up to $limit', async (c) => {
    const { rows, dim, limit, isWeighted } = c;
    const gpu = await testGpu();
    const profile = limit ? withBindingLimit(as(gpu.profile), limit) : as(gpu.profile);
    const shape = { rows, dim, eps: 1e-6, weightOffset: 1 };
    const [x, dOut, other] = [1, 2, 3].map((seed) => randomArray(rows * dim, seed)) as [
      Float32Array,
      Float32Array,
      Float32Array,
    ];
    const weight = isWeighted ? randomArray(dim, 4) : new Float32Array(dim);
    const on = { x: upload(gpu, x), dOut: upload(gpu, dOut), ...(isWeighted && { weight: upload(gpu, weight) }) };
    const residual = upload(gpu, other);
    const [out, dX] = [emptyOutput(gpu, rows * dim), emptyOutput(gpu, rows * dim)];
    const [outOver, dXOver] = [upload(gpu, other), upload(gpu, other)];
    await runKernels(gpu, [
      ...rmsNorm(profile, { ...shape, ...on, out, residual }),
      ...rmsNorm(profile, { ...shape, ...on, out: outOver, accumulate: true }),
      ...rmsNormBackward(profile, { ...shape, ...on, dX, residual }),
      ...rmsNormBackward(profile, { ...shape, ...on, dX: dXOver, accumulate: true }),
    ]);
    const plus = (values: ArrayLike<number>) => Float64Array.from(values, (v, i) => v + other[i]!);
    const y = plus(rmsNormReference(x, weight, shape));
    const grads = plus(rmsNormBackwardReference(x, weight, dOut, shape).dX);
    for (const made of [out, outOver])
      expect(relativeError(await readF32(gpu, made, rows * dim), y)).toBeLessThan(forward);
    for (const made of [dX, dXOver])
      expect(relativeError(await readF32(gpu, made, rows * dim), grads)).toBeLessThan(backward);
  });

  test('a row of zeros stays zero', async () => {
    const gpu = await testGpu();
    const out = emptyOutput(gpu, 8);
    const args = { x: upload(gpu, new Float32Array(8)), weight: upload(gpu, randomArray(8, 1)), out };
    await runKernels(gpu, rmsNorm(as(gpu.profile), { ...args, rows: 1, dim: 8, eps: 1e-6, weightOffset: 1 }));
    expect([...(await readF32(gpu, out, 8))]).toEqual(new Array(8).fill(0));
  });
});
