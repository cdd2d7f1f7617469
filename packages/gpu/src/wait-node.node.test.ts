import { expect, it, vi } from 'vitest';
import { openGpu } from './index.js';
import { platform } from './platform-node.js';
import { waitForGpu } from './wait-node.js';

/** Turns of the event loop while `pending` settles. */
async function turnsOf(pending: Promise<unknown>): Promise<number> {
  let turns = 0;
  let isDone = false;
  const count = () => {
    turns++;
    if (!isDone) setImmediate(count);
  };
  setImmediate(count);
  await pending.finally(() => (isDone = true));
  return turns;
}

const later = (ms: number) => new Promise<string>((resolve) => setTimeout(resolve, ms, 'done'));

it('gives what it waited for, or throws it', async () => {
  await expect(waitForGpu(later(1))).resolves.toBe('done');
  await expect(waitForGpu(Promise.reject(new RangeError('no')))).rejects.toThrow(RangeError);
});

it('leaves the core to others while it waits', async () => {
  const waiting = later(300);
  // Some 1200 by the longest pause; without pauses hundreds of thousands.
  expect(await turnsOf(waitForGpu(waiting))).toBeLessThan(3000);
});

it('goes on pausing while one of several waits is left', async () => {
  const long = waitForGpu(later(300));
  await waitForGpu(later(1));
  await waitForGpu(later(1));
  expect(await turnsOf(long)).toBeLessThan(3000);
});

it('leaves the event loop alone when nothing is waited for', async () => {
  await waitForGpu(later(1));
  const setImmediates = vi.spyOn(globalThis, 'setImmediate');
  await later(20);
  expect(setImmediates.mock.calls.length).toBeLessThanOrEqual(1);
  setImmediates.mockRestore();
});

it('is how a device waits for pipelines, work and results', async () => {
  const gpu = await openGpu();
  const waits = vi.spyOn(platform, 'wait');
  await gpu.pipelines.get({ shader: 'copy/fill', access: ['read_write'] });
  expect(waits).toHaveBeenCalledTimes(1);
  await gpu.idle();
  expect(waits).toHaveBeenCalledTimes(2);
  const staging = gpu.createBuffer(4, 'staging', GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST);
  await gpu.readMapped(staging);
  expect(waits).toHaveBeenCalledTimes(3);
  waits.mockRestore();
  gpu.destroy();
});
