// Data and pictures on a disk that are no files, or too large to be read.
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { DatasetError } from '../data/errors.js';
import { readRows } from '../data/read-rows.js';
import { openRunFiles, openRunImage } from './run-files-node.js';

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

async function valuesOf(path: string): Promise<unknown[]> {
  const files = await openRunFiles(path);
  const source = await files!.open(files!.splits[0]!.files[0]!);
  try {
    const values: unknown[] = [];
    for await (const { value } of readRows(source)) values.push(value);
    return values;
  } finally {
    await source.close?.();
  }
}

it('reads a file, and the files of a folder', async () => {
  await mkdir(join(folder, 'rows', 'train'), { recursive: true });
  for (const file of ['data.jsonl', 'rows/train/part.jsonl', 'rows/valid.csv'])
    await writeFile(join(folder, file), file.endsWith('csv') ? 'text\na\n' : '{"text":"a"}');
  expect(await valuesOf(join(folder, 'data.jsonl'))).toEqual([{ text: 'a' }]);
  expect(await valuesOf(join(folder, 'rows'))).toEqual([{ text: 'a' }]);
  expect(await openRunFiles(join(folder, 'rows'))).toMatchObject({
    isFolder: true,
    splits: [
      { name: 'train', files: ['train/part.jsonl'] },
      { name: 'valid', files: ['valid.csv'] },
    ],
  });
});

it('there may be nothing there', async () => {
  expect(await openRunFiles(join(folder, 'none.jsonl'))).toBeUndefined();
  await mkdir(join(folder, 'empty'));
  await expect(openRunFiles(join(folder, 'empty'))).rejects.toThrow(/there are no rows in this folder/);
  await expect(openRunFiles(join(folder, 'empty'))).rejects.toBeInstanceOf(DatasetError);
});

it('refuses what is too large, before it is read', async () => {
  await sparse('large.jsonl', 3e9);
  await sparse('large.json', 3e9);
  await sparse('large.png', 3e9);
  await sparse('one.json', 6e8);
  await expect(valuesOf(join(folder, 'large.json'))).rejects.toThrow(
    /has 3000000000 bytes; of JSON .* at most 500000000/,
  );
  await expect(valuesOf(join(folder, 'one.json'))).rejects.toThrow(/has 600000000 bytes; of JSON .*JSONL/);
  await expect(valuesOf(join(folder, 'large.jsonl'))).rejects.toThrow(
    /large\.jsonl:1: this line has more than 134217728 bytes/,
  );
  await expect(openRunImage('large.png', join(folder, 'data.jsonl'))).rejects.toThrow(
    /this picture has 3000000000 bytes/,
  );
});

it('takes pictures by paths from the data, where the data are of this machine', async () => {
  await mkdir(join(folder, 'set', 'rows'), { recursive: true });
  await writeFile(join(folder, 'set', 'cat.png'), 'cat');
  const text = async (path: string, file: string) => new TextDecoder().decode(await openRunImage(path, file));
  const rows = join(folder, 'set', 'rows', 'train.jsonl');
  expect(await text('../cat.png', rows)).toBe('cat');
  expect(await text(join(folder, 'set', 'cat.png'), rows)).toBe('cat');
});

it.each([
  [
    '../../../../../../etc/passwd',
    'hf:owner/name/train.parquet',
    /^hf:owner\/name\/train\.parquet: .*pictures are bytes or URLs/,
  ],
  ['/etc/passwd', 'hf:owner/name/train.parquet', /pictures are bytes or URLs/],
  ['file:///etc/passwd', 'hf:owner/name/train.parquet', /pictures are bytes or URLs/],
  ['file:///etc/passwd', 'http://127.0.0.1:9/a/train.jsonl', /neither a URL nor a path/],
  ['../../../etc/passwd', 'http://127.0.0.1:9/a/train.jsonl?token=sesame', /^http:\/\/127\.0\.0\.1:9\/etc\/passwd: /],
  ['//', 'http://127.0.0.1:9/a/train.jsonl', /neither a URL nor a path/],
])(
  'takes no file of this machine for others: %s in %s',
  async (path, file, message) => {
    const reading = Promise.resolve().then(() => openRunImage(path, file));
    await expect(reading).rejects.toBeInstanceOf(DatasetError);
    await expect(reading).rejects.toThrow(message);
    await expect(reading).rejects.not.toThrow(/sesame/);
  },
  60_000,
);

it.skipIf(process.platform === 'win32')('refuses pipes and devices', async () => {
  execFileSync('mkfifo', [join(folder, 'pipe.jsonl')]);
  for (const path of [join(folder, 'pipe.jsonl'), '/dev/zero'])
    await expect(valuesOf(path)).rejects.toThrow(/is a pipe, a device or a socket/);
  await expect(openRunImage('pipe.jsonl', join(folder, 'data.jsonl'))).rejects.toThrow(/is a pipe/);
  await expect(openRunImage('none.png', join(folder, 'data.jsonl'))).rejects.toThrow(/there is no such picture/);
});
