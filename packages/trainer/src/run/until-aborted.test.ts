import { expect, it } from 'vitest';
import { untilAborted } from './until-aborted.js';

const never = new Promise<never>(() => undefined);

it('gives or throws what the promise does', async () => {
  const { signal } = new AbortController();
  await expect(untilAborted(Promise.resolve(3), signal)).resolves.toBe(3);
  await expect(untilAborted(Promise.resolve(3), undefined)).resolves.toBe(3);
  await expect(untilAborted(Promise.reject(new RangeError('no')), signal)).rejects.toThrow(RangeError);
});

it('does not wait longer than the signal lets it', async () => {
  const stop = new AbortController();
  const waiting = untilAborted(never, stop.signal);
  stop.abort(new Error('cancelled'));
  await expect(waiting).rejects.toThrow('cancelled');
  await expect(untilAborted(never, stop.signal)).rejects.toThrow('cancelled');
});
