import { beforeAll, describe, expect, it } from 'vitest';
import type { Gpu } from '@lapidary/gpu';
import { runKernels } from '../run-kernels.js';
import { emptyOutput, readF32, testGpu, upload } from '../testing/test-gpu.js';
import { bindingFaults, withBindingLimit } from '../testing/tiny-profile.js';
import { BindingLimitError } from '../windows.js';
import { scatterRows } from './scatter-rows.js';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await testGpu();
});

describe('scatterRows', () => {
  it.each([
    // Whole, in windows of 64 rows, in smaller ones, of rows that begin at multiples of 256 bytes by themselves.
    { count: 5, outRows: 200, dim: 3, limit: 2 ** 20, windows: 1 },
    { count: 5, outRows: 200, dim: 3, limit: 800, windows: 4 },
    { count: 5, outRows: 130, dim: 4, limit: 300, windows: 9 },
    { count: 5, outRows: 9, dim: 64, limit: 1300, windows: 2 },
    // The rows that are put in windows too.
    { count: 70, outRows: 130, dim: 4, limit: 1024, windows: 6 },
  ])('puts $count rows of $dim where they belong among $outRows, in bindings of $limit', async (shape) => {
    const { count, outRows, dim, limit, windows } = shape;
    const ids = [outRows - 1, 0, 7, -1, outRows, ...Array.from({ length: count - 5 }, (_, i) => i + 8)];
    const values = Float32Array.from({ length: ids.length * dim }, (_, i) => i + 1);
    const out = emptyOutput(gpu, outRows * dim);
    gpu.device.queue.writeBuffer(out.buffer, 0, new Float32Array(outRows * dim));
    const args = { ids: upload(gpu, ids, 'i32'), rows: upload(gpu, values), out, count: ids.length, dim, outRows };
    const calls = scatterRows(withBindingLimit(gpu.profile, limit), args);
    expect(calls).toHaveLength(windows);
    expect(bindingFaults(calls, limit)).toEqual([]);
    await runKernels(gpu, calls);
    const expected = new Float32Array(outRows * dim);
    ids.forEach((id, i) => {
      if (id >= 0 && id < outRows) expected.set(values.subarray(i * dim, (i + 1) * dim), id * dim);
    });
    expect(await readF32(gpu, out, outRows * dim)).toEqual(expected);
  });

  it('says where rows fit no binding', () => {
    const [ids, rows, out] = (['i32', 'f32', 'f32'] as const).map((dtype) => ({ buffer: dtype, offset: 0, dtype }));
    const args = { ids: ids!, rows: rows!, out: out!, count: 1, dim: 3, outRows: 200 };
    expect(() => scatterRows(withBindingLimit(gpu.profile, 512), args)).toThrow(BindingLimitError);
    const many = { ...args, count: 200, outRows: 4 };
    expect(() => scatterRows(withBindingLimit(gpu.profile, 512), many)).toThrow(BindingLimitError);
    expect(scatterRows(gpu.profile, { ...args, count: 0 })).toEqual([]);
  });
});
