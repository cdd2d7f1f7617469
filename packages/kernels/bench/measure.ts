import type { Gpu } from '@lapidary/gpu';
import { encodeDispatch, prepareKernels, type KernelCall } from '@lapidary/kernels';

/** Calls with everything made that they need: running them again makes nothing but a command buffer. */
export interface Prepared {
  run(times: number): Promise<void>;
  destroy(): void;
}

/** Compiles calls and makes their uniforms and bind groups. */
export async function prepare(gpu: Gpu, calls: readonly KernelCall<GPUBuffer>[]): Promise<Prepared> {
  const { dispatches, destroy } = await prepareKernels(gpu, calls);
  return {
    async run(times) {
      const encoder = gpu.device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      for (let i = 0; i < times; i++) for (const dispatch of dispatches) encodeDispatch(pass, dispatch);
      pass.end();
      gpu.submit([encoder.finish()]);
      await gpu.idle();
    },
    destroy,
  };
}

/** A copy of `bytes` bytes from one buffer into another: what the memory of this device can do. */
export function prepareCopy(gpu: Gpu, bytes: number): Prepared {
  const [from, to] = [gpu.createBuffer(bytes, 'copied from'), gpu.createBuffer(bytes, 'copied to')];
  return {
    async run(times) {
      const encoder = gpu.device.createCommandEncoder();
      for (let i = 0; i < times; i++) encoder.copyBufferToBuffer(from, 0, to, 0, bytes);
      gpu.submit([encoder.finish()]);
      await gpu.idle();
    },
    destroy: () => [from, to].forEach((buffer) => gpu.destroyBuffer(buffer)),
  };
}

/** So long a round takes at least: submission and waiting, which a program pays once for all its kernels, are small beside it. */
const roundMs = 60;
const rounds = 5;

/**
 * Seconds of one run of each, the best of a few rounds. Rounds of all of them take turns, so that a noisy moment hits none alone.
 */
export async function measure(prepared: readonly Prepared[]): Promise<number[]> {
  const times: number[] = [];
  for (const one of prepared) {
    await one.run(1); // drivers compile on the first dispatch
    const from = performance.now();
    await one.run(1);
    times.push(Math.max(1, Math.min(1000, Math.ceil(roundMs / (performance.now() - from)))));
  }
  const best = prepared.map(() => Infinity);
  for (let round = 0; round < rounds; round++)
    for (const [i, one] of prepared.entries()) {
      const from = performance.now();
      await one.run(times[i]!);
      best[i] = Math.min(best[i]!, (performance.now() - from) / 1000 / times[i]!);
    }
  return best;
}
