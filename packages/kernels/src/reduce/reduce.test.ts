import type { DeviceProfile } from '@lapidary/gpu';
import { describe, expect, it } from 'vitest';
import { reduce, reduceWorkspaceElements } from './reduce.js';
import { reduceReference } from '../reference/reduce.js';
import { runKernels } from '../run-kernels.js';
import { emptyOutput, randomArray, readF32, relativeError, testGpu, upload } from '../testing/test-gpu.js';

async function run(
  shape: { outer: number; length: number; inner: number },
  op: 'sum' | 'mean' | 'max' | 'min',
  limit?: number,
) {
  const gpu = await testGpu();
  const profile: DeviceProfile = limit
    ? { ...gpu.profile, limits: { ...gpu.profile.limits, maxStorageBufferBindingSize: limit } }
    : gpu.profile;
  // Not around 0, where sums cancel and no relative bound would hold.
  const values = randomArray(shape.outer * shape.length * shape.inner, shape.length).map((v) => v + 0.5);
  const out = emptyOutput(gpu, shape.outer * shape.inner);
  const elements = reduceWorkspaceElements(shape);
  const calls = reduce(profile, {
    ...shape,
    op,
    out,
    x: upload(gpu, values),
    ...(elements > 0 && { workspace: emptyOutput(gpu, elements) }),
  });
  for (const { bindings } of calls) {
    for (const { offset, size } of bindings) {
      expect(offset % 256).toBe(0);
      if (limit) expect(size).toBeLessThanOrEqual(limit);
    }
  }
  await runKernels(gpu, calls);
  const found = await readF32(gpu, out, shape.outer * shape.inner);
  return { error: relativeError(found, reduceReference(values, { ...shape, op })), calls: calls.length, elements };
}

describe.each(['sum', 'mean', 'max', 'min'] as const)('reduce, %s', (op) => {
  it.each([
    { outer: 1, length: 1, inner: 1 },
    { outer: 7, length: 13, inner: 5 },
    { outer: 3, length: 517, inner: 1 },
    { outer: 1, length: 67, inner: 131 },
    { outer: 2, length: 5003, inner: 3 },
    { outer: 1, length: 200_003, inner: 1 },
  ])('[$outer, $length, $inner]', async (shape) => {
    const { error } = await run(shape, op);
    expect(error).toBeLessThan(op === 'max' || op === 'min' ? 1e-12 : 1e-6);
  });
});

describe('reduce in windows', () => {
  it('of rows that are no multiple of 256 bytes', async () => {
    const { error, calls, elements } = await run({ outer: 97, length: 13, inner: 7 }, 'sum', 4096);
    expect(elements).toBe(0);
    expect(calls).toBeGreaterThan(9);
    expect(error).toBeLessThan(1e-6);
  });

  it('of parts, where one row is longer than a binding', async () => {
    const { error, calls, elements } = await run({ outer: 3, length: 10_007, inner: 5 }, 'mean', 65_536);
    expect(elements).toBe(150);
    expect(calls).toBeGreaterThan(6);
    expect(error).toBeLessThan(1e-6);
  });

  it('splits a wide reduction that no binding could hold', () => {
    // [64, 2^21] is 512 MiB: read in windows below 128 MiB, whatever the device.
    const shape = { outer: 1, length: 64, inner: 1 << 21 };
    expect(reduceWorkspaceElements(shape)).toBe(8 * shape.inner);
  });

  it('is the same twice', async () => {
    const shape = { outer: 1, length: 100_003, inner: 1 };
    expect((await run(shape, 'sum')).error).toBe((await run(shape, 'sum')).error);
  });

  it('refuses a missing workspace and an empty reduction', async () => {
    const gpu = await testGpu();
    const x = upload(gpu, [1]);
    expect(() => reduce(gpu.profile, { x, out: x, outer: 1, length: 5000, inner: 1, op: 'sum' })).toThrow(/workspace/);
    expect(() => reduce(gpu.profile, { x, out: x, outer: 1, length: 0, inner: 1, op: 'max' })).toThrow(/length is 0/);
  });
});
