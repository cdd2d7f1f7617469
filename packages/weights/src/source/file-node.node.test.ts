// What lies on a disk and is no file, or too large a one.
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WeightFileError, WeightSourceError } from '../errors.js';
import { modelWeightLoader } from '../loader/model-weight-loader.js';
import { fileSource } from './file-node.js';
import { openModelSource } from './model-source.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lapidary-'));
  await mkdir(join(folder, 'inner'));
});
afterAll(() => rm(folder, { recursive: true }));

/** A file of so many bytes that takes no room. */
async function sparse(name: string, size: number): Promise<void> {
  const file = await open(join(folder, name), 'w');
  await file.truncate(size);
  await file.close();
}

it('refuses a folder as a file', async () => {
  await expect(fileSource(join(folder, 'inner'))).rejects.toThrow(
    /inner: is a folder; only a regular file can be read/,
  );
});

it.each(['config.json', 'model.safetensors.index.json', 'tokenizer.json'])(
  'refuses %s of 600 MB before it is read',
  async (name) => {
    await sparse(name, 600e6);
    const source = await openModelSource(folder);
    await expect(source.readText(name)).rejects.toThrow(
      new RegExp(`${name}: has 600000000 bytes; at most 67108864 are read`),
    );
    await expect(source.readText(name)).rejects.toBeInstanceOf(WeightFileError);
    await source.close();
    await rm(join(folder, name));
  },
);

// Windows has neither.
describe.skipIf(process.platform === 'win32')('pipes and devices', () => {
  beforeAll(() => {
    for (const name of ['model.gguf', 'config.json', 'tokenizer.json']) execFileSync('mkfifo', [join(folder, name)]);
  });

  it('as a model', async () => {
    for (const path of [join(folder, 'model.gguf'), '/dev/zero', '/dev/null']) {
      const opening = modelWeightLoader({ from: path }).open();
      await expect(opening).rejects.toThrow(
        `${path}: is a pipe, a device or a socket; only a regular file can be read.`,
      );
      await expect(opening).rejects.toBeInstanceOf(WeightSourceError);
    }
  });

  it('as a file of a model', async () => {
    const source = await openModelSource(folder);
    await expect(source.open('model.gguf')).rejects.toThrow(/model\.gguf: is a pipe/);
    for (const name of ['config.json', 'tokenizer.json'])
      await expect(source.readText(name)).rejects.toThrow(/is a pipe/);
    await source.close();
    await writeFile(join(folder, 'model.safetensors'), new Uint8Array(8));
    await expect(modelWeightLoader({ from: folder }).open()).rejects.toThrow(/config\.json: is a pipe/);
  });
});
