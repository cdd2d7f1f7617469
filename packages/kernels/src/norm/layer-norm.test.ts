import type { DeviceProfile } from '@lapidary/gpu';
import { describe, expect, test } from 'vitest';
import { layerNorm, layerNormBackward, layerNormParamGrad } from './layer-norm.js';
import { layerNormBackwardReference, layerNormReference } from '../reference/layer-norm.js';
import { runKernels } from '../run-kernels.js';
import { randomCases } from '../testing/random-cases.js';
import { emptyOutput, randomArray, readF32, relativeError, testGpu, upload } from '../testing/test-gpu.js';
import { asGpu, bindingFaults, withBindingLimit } from '../testing/tiny-profile.js';

describe.each([
  { name: 'it is', as: (profile: DeviceProfile) => profile },
  { name: 'a GPU', as: asGpu },
])('a device as $name', ({ as }) => {
  test.each([
    { rows: 1, dim: 3, shift: 0, limit: 0 },
    { rows: 37, dim: 13, shift: 0, limit: 0 },
    { rows: 3, dim: 1152, shift: 4, limit: 0 },
    { rows: 130, dim: 13, shift: 0, limit: 4096 },
    ...randomCases(6, 1, ({ int, pick }) => ({
      rows: int(1, 70),
      dim: int(3, 300),
      shift: pick([0, 3]),
      limit: 0,
    })).map(([, drawn]) => drawn),
  ])('$rows × $dim around $shift, bindings up to $limit', async ({ rows, dim, shift, limit }) => {
    const gpu = await testGpu();
    const onDevice = as(gpu.profile);
    const profile = limit ? withBindingLimit(onDevice, limit) : onDevice;
    const shape = { rows, dim, eps: 1e-5 };
    const x = randomArray(rows * dim, 1, 3).map((v) => v + shift);
    const [dOut, weight, bias] = [randomArray(rows * dim, 2), randomArray(dim, 3), randomArray(dim, 4)];
    const on = { x: upload(gpu, x), weight: upload(gpu, weight), bias: upload(gpu, bias), dOut: upload(gpu, dOut) };
    const out = emptyOutput(gpu, rows * dim);
    const dX = emptyOutput(gpu, rows * dim);
    const dWeight = emptyOutput(gpu, dim);
    const dBias = emptyOutput(gpu, dim);
    const workspace = emptyOutput(gpu, rows * 2);
    const calls = [
      ...layerNorm(profile, { ...shape, x: on.x, weight: on.weight, bias: on.bias, out }),
      ...layerNormBackward(profile, { ...shape, x: on.x, weight: on.weight, dOut: on.dOut, dX }),
      ...layerNormParamGrad(profile, { ...shape, x: on.x, dOut: on.dOut, dWeight, dBias, workspace }),
    ];
    expect(bindingFaults(calls, profile.limits.maxStorageBufferBindingSize)).toEqual([]);
    if (limit) expect(calls.length).toBeGreaterThan(4);
    await runKernels(gpu, calls);

    const grads = layerNormBackwardReference(x, weight, dOut, shape);
    const y = layerNormReference(x, weight, bias, shape);
    expect(relativeError(await readF32(gpu, out, rows * dim), y)).toBeLessThan(5e-7);
    expect(relativeError(await readF32(gpu, dX, rows * dim), grads.dX)).toBeLessThan(3e-6);
    expect(relativeError(await readF32(gpu, dWeight, dim), grads.dWeight)).toBeLessThan(3e-6);
    expect(relativeError(await readF32(gpu, dBias, dim), grads.dBias)).toBeLessThan(3e-6);
  });

  test.each([
    { rows: 5, dim: 40, limit: 0 },
    { rows: 130, dim: 13, limit: 4096 },
  ])('added to something: $rows × $dim, bindings up to $limit', async ({ rows, dim, limit }) => {
    const gpu = await testGpu();
    const profile = limit ? withBindingLimit(as(gpu.profile), limit) : as(gpu.profile);
    const shape = { rows, dim, eps: 1e-5 };
    const [x, dOut, other] = [1, 2, 3].map((seed) => randomArray(rows * dim, seed)) as [
      Float32Array,
      Float32Array,
      Float32Array,
    ];
    const [weight, bias] = [randomArray(dim, 4), randomArray(dim, 5)];
    const on = { x: upload(gpu, x), weight: upload(gpu, weight), bias: upload(gpu, bias) };
    const back = { x: on.x, weight: on.weight, dOut: upload(gpu, dOut) };
    const residual = upload(gpu, other);
    const [out, dX] = [emptyOutput(gpu, rows * dim), emptyOutput(gpu, rows * dim)];
    const [outOver, dXOver] = [upload(gpu, other), upload(gpu, other)];
    await runKernels(gpu, [
      ...layerNorm(profile, { ...shape, ...on, out, residual }),
      ...layerNorm(profile, { ...shape, ...on, out: outOver, accumulate: true }),
      ...layerNormBackward(profile, { ...shape, ...back, dX, residual }),
      ...layerNormBackward(profile, { ...shape, ...back, dX: dXOver, accumulate: true }),
    ]);
    const plus = (values: ArrayLike<number>) => Float64Array.from(values, (v, i) => v + other[i]!);
    const y = plus(layerNormReference(x, weight, bias, shape));
    const grads = plus(layerNormBackwardReference(x, weight, dOut, shape).dX);
    for (const made of [out, outOver])
      expect(relativeError(await readF32(gpu, made, rows * dim), y)).toBeLessThan(5e-7);
    for (const made of [dX, dXOver])
      expect(relativeError(await readF32(gpu, made, rows * dim), grads)).toBeLessThan(3e-6);
  });

  test('a row of one value is its own mean: the bias is left, and no gradient', async () => {
    const gpu = await testGpu();
    const [x, weight, bias] = [upload(gpu, [5, -7]), upload(gpu, [3]), upload(gpu, [0.25])];
    const [out, dX] = [emptyOutput(gpu, 2), emptyOutput(gpu, 2)];
    const shape = { rows: 2, dim: 1, eps: 1e-5 };
    await runKernels(gpu, [
      ...layerNorm(as(gpu.profile), { ...shape, x, weight, bias, out }),
      ...layerNormBackward(as(gpu.profile), { ...shape, x, weight, dOut: x, dX }),
    ]);
    expect([...(await readF32(gpu, out, 2))]).toEqual([0.25, 0.25]);
    expect([...(await readF32(gpu, dX, 2))].map((v) => v + 0)).toEqual([0, 0]);
  });
});
