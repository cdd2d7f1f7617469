// Data and pictures on a disk that are no files, or too large to be read.
import { execFileSync } from 'node:child_process';
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { DatasetError } from '../data/errors.js';
import { openRunData, openRunImage } from './run-files-node.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lapidary-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function sparse(name: string, size: number): Promise<void> {
  const file = await open(join(folder, name), 'w');
  await file.truncate(size);
  await file.close();
}

it('reads a file', async () => {
  await writeFile(join(folder, 'data.jsonl'), '{"text":"a"}');
  expect((await openRunData(join(folder, 'data.jsonl'))).text).toBe('{"text":"a"}');
});

it.each([
  ['none.jsonl', /there is no such file/],
  ['.', /is a folder; only a regular file can be read/],
])('data in %s', async (name, message) => {
  await expect(openRunData(join(folder, name))).rejects.toThrow(message);
  await expect(openRunData(join(folder, name))).rejects.toBeInstanceOf(DatasetError);
});

it('refuses what is too large, before it is read', async () => {
  await sparse('large.jsonl', 3e9);
  await sparse('large.png', 3e9);
  await expect(openRunData(join(folder, 'large.jsonl'))).rejects.toThrow(
    /has 3000000000 bytes; at most 500000000 are read/,
  );
  await expect(openRunImage('large.png', join(folder, 'data.jsonl'))).rejects.toThrow(
    /this picture has 3000000000 bytes/,
  );
});

it.skipIf(process.platform === 'win32')('refuses pipes and devices', async () => {
  execFileSync('mkfifo', [join(folder, 'pipe.jsonl')]);
  for (const path of [join(folder, 'pipe.jsonl'), '/dev/zero'])
    await expect(openRunData(path)).rejects.toThrow(/is a pipe, a device or a socket/);
  await expect(openRunImage('pipe.jsonl', join(folder, 'data.jsonl'))).rejects.toThrow(/is a pipe/);
  await expect(openRunImage('none.png', join(folder, 'data.jsonl'))).rejects.toThrow(/there is no such picture/);
});
