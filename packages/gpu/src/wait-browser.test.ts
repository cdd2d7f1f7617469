import { expect, it } from 'vitest';
import { waitForGpu } from './wait-browser.js';

/** A queue that counts what is submitted, and a promise that is kept after so many times. */
function queueThatLooks(after: number) {
  let submits = 0;
  let keep: (value: string) => void;
  const pending = new Promise<string>((resolve) => (keep = resolve));
  const submit = (commands: Iterable<GPUCommandBuffer>) => {
    expect([...commands]).toEqual([]);
    if (++submits === after) keep('done');
    return undefined;
  };
  return { queue: { submit }, pending, submits: () => submits };
}

it('has the browser look until what it waits for is there, and no longer', async () => {
  const { queue, pending, submits } = queueThatLooks(3);
  await expect(waitForGpu(pending, queue)).resolves.toBe('done');
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(submits()).toBe(3);
});

it('submits nothing where nothing has to be waited for, and throws what is thrown', async () => {
  const { queue, submits } = queueThatLooks(1);
  await expect(waitForGpu(Promise.resolve(1), queue)).resolves.toBe(1);
  await expect(waitForGpu(Promise.reject(new RangeError('no')), queue)).rejects.toThrow(RangeError);
  expect(submits()).toBe(0);
});
