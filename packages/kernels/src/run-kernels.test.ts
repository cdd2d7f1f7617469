import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { Gpu } from '@lapidary/gpu';
import { runKernelCases } from './check/run-kernel-cases.js';
import type { KernelCase } from './check/kernel-cases.js';
import { fill } from './copy/fill.js';
import { prepareKernels, runKernels } from './run-kernels.js';
import { emptyOutput, readF32, testGpu } from './testing/test-gpu.js';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await testGpu();
});
afterEach(() => vi.restoreAllMocks());

const fails = () => {
  throw new Error('no memory');
};

describe('what was made is given back', () => {
  /** Two calls; bytes as before them afterwards. */
  const leavingNothing = async (body: (calls: ReturnType<typeof fill<GPUBuffer>>) => Promise<unknown>) => {
    const out = emptyOutput(gpu, 8);
    const calls = [1, 2].flatMap((value) => fill(gpu.profile, { out, n: 8, value }));
    const { bytes } = gpu.counters;
    await body(calls);
    expect(gpu.counters.bytes).toBe(bytes);
    return [...(await readF32(gpu, out, 8))];
  };

  it('after kernels have run', async () => {
    const found = await leavingNothing((calls) => runKernels(gpu, calls));
    expect(new Set(found)).toEqual(new Set([2]));
    await leavingNothing(async (calls) => {
      const { dispatches, destroy } = await prepareKernels(gpu, calls);
      expect(dispatches).toHaveLength(2);
      destroy();
      destroy();
    });
  });

  it('where the second call cannot be prepared', async () => {
    const create = gpu.createBindGroup.bind(gpu);
    const made = vi.spyOn(gpu, 'createBindGroup').mockImplementationOnce(create).mockImplementation(fails);
    await leavingNothing((calls) => expect(prepareKernels(gpu, calls)).rejects.toThrow('no memory'));
    expect(made).toHaveBeenCalledTimes(2);
  });

  it('where kernels cannot be submitted, or the device is lost while they run', async () => {
    vi.spyOn(gpu, 'submit').mockImplementationOnce(fails);
    vi.spyOn(gpu, 'idle').mockImplementationOnce(async () => fails());
    await leavingNothing((calls) => expect(runKernels(gpu, calls)).rejects.toThrow('no memory'));
    await leavingNothing((calls) => expect(runKernels(gpu, calls)).rejects.toThrow('no memory'));
  });

  it('where a case of the self-test cannot be made', async () => {
    const right: KernelCase = {
      kernel: 'right',
      what: 'nothing',
      make: (scratch) => {
        scratch.empty(64);
        return { calls: [], expected: [] };
      },
    };
    const wrong: KernelCase = {
      ...right,
      make: (scratch) => {
        scratch.empty(64);
        return fails();
      },
    };
    await leavingNothing(() => expect(runKernelCases(gpu, [right, wrong], vi.fn())).rejects.toThrow('no memory'));
    await leavingNothing(async () => {
      const { passed } = await runKernelCases(gpu, [right], vi.fn());
      expect(passed).toEqual([{ kernel: 'right', variants: [] }]);
    });
  });
});
