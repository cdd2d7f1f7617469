import type { DeviceProfile } from '@lapidary/gpu';
import { describe, expect, test } from 'vitest';
import { softmaxBackwardReference, softmaxReference } from '../reference/softmax.js';
import { runKernels } from '../run-kernels.js';
import { softmax, softmaxBackward } from './softmax.js';
import { emptyOutput, randomArray, readF32, relativeError, testGpu, upload } from '../testing/test-gpu.js';
import { asGpu, bindingFaults, withBindingLimit } from '../testing/tiny-profile.js';

describe.each([
  { name: 'it is', as: (profile: DeviceProfile) => profile },
  { name: 'a GPU', as: asGpu },
])('a device as $name', ({ as }) => {
  test.each([
    { rows: 1, dim: 1, spread: 1, limit: 0 },
    { rows: 37, dim: 13, spread: 5, limit: 0 },
    { rows: 3, dim: 1031, spread: 50, limit: 0 },
    { rows: 2, dim: 20_000, spread: 2, limit: 0 },
    { rows: 130, dim: 13, spread: 3, limit: 4096 },
  ])('$rows × $dim within ±$spread, bindings up to $limit', async ({ rows, dim, spread, limit }) => {
    const gpu = await testGpu();
    const onDevice = as(gpu.profile);
    const profile = limit ? withBindingLimit(onDevice, limit) : onDevice;
    // Far from 0, so that the row's maximum has to be taken off first.
    const x = randomArray(rows * dim, 1, spread).map((v) => v + 200);
    const dOut = randomArray(rows * dim, 2);
    const out = emptyOutput(gpu, rows * dim);
    const dX = emptyOutput(gpu, rows * dim);
    const calls = [
      ...softmax(profile, { x: upload(gpu, x), out, rows, dim }),
      ...softmaxBackward(profile, { y: out, dOut: upload(gpu, dOut), dX, rows, dim }),
    ];
    expect(bindingFaults(calls, profile.limits.maxStorageBufferBindingSize)).toEqual([]);
    if (limit) expect(calls.length).toBeGreaterThan(2);
    await runKernels(gpu, calls);
    const y = softmaxReference(x, rows, dim);
    expect(relativeError(await readF32(gpu, out, rows * dim), y)).toBeLessThan(5e-7);
    const found = await readF32(gpu, dX, rows * dim);
    if (dim === 1) expect([...found]).toEqual([0]);
    else expect(relativeError(found, softmaxBackwardReference(y, dOut, rows, dim))).toBeLessThan(3e-6);
  });

  test('minus infinity has no share', async () => {
    const gpu = await testGpu();
    const out = emptyOutput(gpu, 3);
    await runKernels(gpu, softmax(as(gpu.profile), { x: upload(gpu, [5, -Infinity, 5]), out, rows: 1, dim: 3 }));
    expect([...(await readF32(gpu, out, 3))]).toEqual([0.5, 0, 0.5]);
  });
});
