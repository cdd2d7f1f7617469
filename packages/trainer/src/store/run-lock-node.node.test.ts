import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { RunInUseError } from '../errors/errors.js';
import { createNodeFileStore } from './file-store-node.js';
import { lockFolder } from './run-lock-node.js';

let folder: string;
let lock: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lapidary-lock-'));
  lock = join(folder, 'run.lock');
});
afterEach(() => rm(folder, { recursive: true }));

/** What a lock of this process says, changed. */
async function writeLock(change: Readonly<Record<string, unknown>>): Promise<void> {
  const unlock = await lockFolder(folder);
  const text = await readFile(lock, 'utf8');
  await unlock();
  await writeFile(lock, `${JSON.stringify({ ...JSON.parse(text), ...change })}\n`);
}

/** A process that has ended. */
async function deadProcess(): Promise<number> {
  const child = spawn(process.execPath, ['-e', '0']);
  await new Promise((resolve) => child.once('exit', resolve));
  return child.pid!;
}

const age = (ms: number) => utimes(lock, new Date(Date.now() - ms), new Date(Date.now() - ms));

test('the second is refused, by process and folder, until the first is done; nothing is left', async () => {
  const unlock = await lockFolder(folder);
  const error = await lockFolder(folder).catch((e: unknown) => e);
  expect(error).toBeInstanceOf(RunInUseError);
  expect(error).toMatchObject({ pid: process.pid, location: folder });
  expect((error as RunInUseError).hint).toContain(lock);
  await unlock();
  await (await lockFolder(folder))();
  expect(await readdir(folder)).toEqual([]);
});

test('a store keeps its lock to itself, and makes the folder', async () => {
  const store = createNodeFileStore(join(folder, 'not', 'yet'));
  const unlock = await store.lock!();
  expect(await store.list()).toEqual([]);
  await expect(store.lock!()).rejects.toThrow(RunInUseError);
  await unlock();
});

test('folders that were made for a lock go with it, unless something came into them', async () => {
  const run = join(folder, 'deep', 'run');
  await (await lockFolder(run))();
  expect(await readdir(folder)).toEqual([]);
  const unlock = await lockFolder(run);
  await writeFile(join(folder, 'deep', 'note'), '');
  await unlock();
  expect(await readdir(join(folder, 'deep'))).toEqual(['note']);
  await (await lockFolder(join(folder, 'deep')))();
  expect(await readdir(folder)).toEqual(['deep']);
});

test.each([
  ['of a process that is gone', async () => writeLock({ pid: await deadProcess() })],
  ['of another process with a number that was used again', () => writeLock({ began: '1' })],
  ['of before the machine was started', () => writeLock({ boot: '7a0d', bootedAt: 0 })],
  ['of before, on a system that counts no starts', () => writeLock({ boot: null, bootedAt: Date.now() - 864e5 })],
  ['of another machine, long untouched', () => writeLock({ host: 'elsewhere' }).then(() => age(300_000))],
  ['of another container, long untouched', () => writeLock({ namespace: 'pid:[1]' }).then(() => age(300_000))],
  ['cut short, long untouched', () => writeFile(lock, '{"pid"').then(() => age(300_000))],
  ['empty, long untouched', () => writeFile(lock, '').then(() => age(300_000))],
])('a lock %s counts for nothing', async (_, leave) => {
  await leave();
  await (await lockFolder(folder))();
  expect(await readdir(folder)).toEqual([]);
});

test.each([
  ['of another machine', () => writeLock({ host: 'elsewhere' })],
  ['of another container on this one', () => writeLock({ namespace: 'pid:[1]' })],
  ['that is being written', () => writeFile(lock, '')],
  ['of wrong kinds', () => writeLock({ pid: 'one' })],
])('a lock %s holds while it is touched', async (_, leave) => {
  await leave();
  await expect(lockFolder(folder)).rejects.toThrow(RunInUseError);
  expect(await readdir(folder)).toEqual(['run.lock']);
});

test('of many who find a lock of one that is gone, one gets it', async () => {
  for (let round = 0; round < 20; round++) {
    await writeLock({ pid: 2 ** 22 + 1 });
    const taken = await Promise.allSettled(Array.from({ length: 8 }, () => lockFolder(folder)));
    const got = taken.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
    expect(got.length).toBe(1);
    await got[0]!();
    expect(await readdir(folder)).toEqual([]);
  }
});
