import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openChoiceStore } from './choice-store-node.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lapidary-choices-'));
});
afterAll(() => rm(folder, { recursive: true }));

it('keeps texts in files of a folder that it makes', async () => {
  const store = openChoiceStore(join(folder, 'new', 'kernels'));
  expect(await store.read('gpu')).toBeUndefined();
  await store.write('gpu', 'first');
  await store.write('gpu', 'second');
  await store.write('other', 'third');
  expect(await store.read('gpu')).toBe('second');
  expect((await readdir(store.location)).sort()).toEqual(['gpu.json', 'other.json']);
});

it('a text that cannot be written leaves nothing behind', async () => {
  const store = openChoiceStore(join(folder, 'blocked'));
  // A folder of that name cannot be replaced by a file.
  await mkdir(join(store.location, 'gpu.json', 'x'), { recursive: true });
  await expect(store.write('gpu', 'text')).rejects.toThrow();
  expect(await readdir(store.location)).toEqual(['gpu.json']);
  await writeFile(join(folder, 'file'), '');
  await expect(openChoiceStore(join(folder, 'file')).write('gpu', 'text')).rejects.toThrow();
});
