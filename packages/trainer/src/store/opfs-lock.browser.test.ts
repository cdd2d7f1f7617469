// Two runs on one folder of the private file system, in one page and in others: what only a browser has.
import { expect, test } from 'vitest';
import { RunInUseError } from '../errors/errors.js';
import { openOpfsStore } from './opfs-store.js';

let count = 0;
const newFolder = () => `lock-${Date.now()}-${count++}`;
const lockOf = async (folder: string) => (await openOpfsStore(folder)).lock!();

test('the second run in a folder is refused, by the folder, until the first is done', async () => {
  const folder = newFolder();
  const unlock = await lockOf(folder);
  const refused = await lockOf(folder).catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(RunInUseError);
  expect(refused).toMatchObject({ location: `opfs:/${folder}` });
  await unlock();
  await (await lockOf(folder))();
  // It is by Web Locks: no file of it is in the folder.
  expect(await (await openOpfsStore(folder)).list()).toEqual([]);
});

test('the lock of one folder is not that of another, nor of one in it', async () => {
  const folder = newFolder();
  const unlocks = [await lockOf(folder), await lockOf(newFolder()), await lockOf(`${folder}/inner`)];
  await expect(lockOf(`${folder}/inner`)).rejects.toThrow(RunInUseError);
  for (const unlock of unlocks) await unlock();
});

test('of many at once, one gets the folder', async () => {
  const folder = newFolder();
  const all = await Promise.allSettled(Array.from({ length: 8 }, () => lockOf(folder)));
  const got = all.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
  expect(got).toHaveLength(1);
  for (const each of all) if (each.status === 'rejected') expect(each.reason).toBeInstanceOf(RunInUseError);
  await got[0]!();
});

test('what a run wrote under its lock is there for the next; a lock given back twice is given back once', async () => {
  const folder = newFolder();
  const first = await openOpfsStore(folder);
  const unlock = await first.lock!();
  await first.write('run.json', '{}');
  await unlock();
  const second = await openOpfsStore(folder);
  const own = await second.lock!();
  await unlock();
  await expect(lockOf(folder)).rejects.toThrow(RunInUseError);
  expect((await second.list()).map(({ name }) => name)).toEqual(['run.json']);
  await own();
});

/** A Worker that takes a folder's lock as a run does, and tells how that went. */
function lockingWorker(folder: string): { readonly told: Promise<unknown>; readonly end: () => void } {
  const worker = new Worker(new URL('./testing/lock-worker.ts', import.meta.url), { type: 'module' });
  const told = new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = ({ message }) => reject(new Error(message));
  });
  worker.postMessage(folder);
  return { told, end: () => worker.terminate() };
}

test('a run in a Worker holds its folder against the page, and the page against it', async () => {
  const folder = newFolder();
  const worker = lockingWorker(folder);
  expect(await worker.told).toBe('locked');
  await expect(lockOf(folder)).rejects.toThrow(RunInUseError);
  const another = lockingWorker(folder);
  expect(await another.told).toBe('RunInUseError');
  another.end();
  worker.end();
});

test('the lock of a Worker that was ended in the middle of its run is gone with it', async () => {
  const folder = newFolder();
  const worker = lockingWorker(folder);
  expect(await worker.told).toBe('locked');
  worker.end();
  await expect
    .poll(() =>
      lockOf(folder).then(
        (unlock) => unlock().then(() => 'free'),
        (error: Error) => error.name,
      ),
    )
    .toBe('free');
});
