import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { DiskFullError, StoreAccessError } from '../errors/errors.js';
import { createNodeFileStore, removeUnfinishedFiles, type FileSystem } from './file-store-node.js';
import { testStoreContract } from './testing/store-contract.js';

const made: string[] = [];
async function makeFolder(): Promise<string> {
  const folder = await fs.mkdtemp(join(tmpdir(), 'lapidary-store-'));
  made.push(folder);
  return folder;
}
afterAll(() => Promise.all(made.map((folder) => fs.rm(folder, { recursive: true }))));

testStoreContract('directory', async () => createNodeFileStore(join(await makeFolder(), 'not', 'yet')));

/** A disk with room for `capacity` more bytes. */
function smallDisk(capacity: number, code = 'ENOSPC'): FileSystem {
  let left = capacity;
  return {
    ...fs,
    open: async (...args: Parameters<typeof fs.open>) => {
      const file = await fs.open(...args);
      const write = file.write.bind(file);
      return Object.assign(file, {
        write: async (bytes: Uint8Array, offset: number, length: number) => {
          if (left === 0) throw Object.assign(new Error(`${code}: no space left on device, write`), { code });
          const part = Math.min(length, left); // a full disk takes what fits first
          left -= part;
          return write(bytes, offset, part);
        },
      });
    },
  };
}

test.each(['ENOSPC', 'EDQUOT'])(
  'a full disk (%s) names path and bytes, and leaves the old file and no other',
  async (code) => {
    const folder = await makeFolder();
    await createNodeFileStore(folder).write('run/model.bin', 'old');
    const error = await createNodeFileStore(folder, { fs: smallDisk(1000, code) })
      .write('run/model.bin', [new Uint8Array(800), new Uint8Array(800)])
      .catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(DiskFullError);
    expect(error).toMatchObject({ path: join(folder, 'run', 'model.bin'), bytes: 1600, cause: { code } });
    expect(await fs.readdir(join(folder, 'run'))).toEqual(['model.bin']);
    expect(await fs.readFile(join(folder, 'run', 'model.bin'), 'utf8')).toBe('old');
  },
);

test('a full disk while appending leaves whole lines', async () => {
  const folder = await makeFolder();
  const store = createNodeFileStore(folder, { fs: smallDisk(12) });
  await store.append('metrics.jsonl', '{"a":1}\n');
  await expect(store.append('metrics.jsonl', '{"a":2}\n')).rejects.toThrow(DiskFullError);
  expect(await fs.readFile(join(folder, 'metrics.jsonl'), 'utf8')).toBe('{"a":1}\n');
});

test('leftovers of dead writers are removed, those of living ones are not', async () => {
  const folder = await makeFolder();
  const dead = join(folder, `a.bin.${2 ** 22 + 1}-00000000.unfinished`); // above the largest pid of Linux
  const living = join(folder, `a.bin.${process.pid}-00000000.unfinished`);
  for (const path of [dead, living, join(folder, 'notes.unfinished')]) await fs.writeFile(path, 'x');
  expect(await createNodeFileStore(folder).list()).toEqual([]);
  expect(await removeUnfinishedFiles(folder)).toEqual([dead]);
  expect((await fs.readdir(folder)).length).toBe(2);
});

test.each([
  ['a file where the folder should be', 'file'],
  ['a file in the way to the folder', 'file/below'],
  ['a name that is too long', 'x'.repeat(300)],
])('%s: a typed error with the path and what to do', async (_, at) => {
  const folder = await makeFolder();
  await fs.writeFile(join(folder, 'file'), '');
  const store = createNodeFileStore(join(folder, at));
  for (const use of [() => store.write('run.json', '{}'), () => store.append('metrics.jsonl', 'x')]) {
    const error = await use().catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(StoreAccessError);
    expect((error as Error).message).toContain(join(folder, at));
    expect((error as StoreAccessError).hint).toContain('`outDir`');
  }
  if (at === 'file') await expect(store.list()).rejects.toThrow(StoreAccessError);
});

test.each(['EPERM', 'EACCES', 'EROFS'])('%s: a typed error with what it means', async (code) => {
  const refuse = () => Promise.reject(Object.assign(new Error(`${code}: mkdir`), { code, syscall: 'mkdir' }));
  const folder = join(await makeFolder(), 'run');
  const store = createNodeFileStore(folder, { fs: { ...fs, mkdir: refuse, unlink: refuse } });
  await expect(store.write('run.json', '{}')).rejects.toMatchObject({ name: 'StoreAccessError', code });
  await expect(store.remove('run.json')).rejects.toMatchObject({ name: 'StoreAccessError', code });
});

test.runIf(process.platform === 'linux')(
  'a parent that takes no folders is said to, and not tried for ever',
  async () => {
    for (const folder of ['/proc/lapidary-run', '/proc/lapidary-run/deeper']) {
      const store = createNodeFileStore(folder);
      for (const use of [() => store.write('run.json', '{}'), () => store.append('x', '{}'), () => store.lock!()]) {
        const error = await use().catch((reason: unknown) => reason);
        expect(error).toBeInstanceOf(StoreAccessError);
        expect((error as Error).message).toContain('/proc takes no folders');
      }
    }
  },
);

test('a disk that is read-only is called that where the folder is still to be made', async () => {
  const mkdir = async () => Promise.reject(Object.assign(new Error('EROFS'), { code: 'EROFS' }));
  const store = createNodeFileStore(join(await makeFolder(), 'new', 'run'), { fs: { ...fs, mkdir } });
  await expect(store.write('run.json', '{}')).rejects.toThrow(/the disk is read-only/);
});

test('what links lead to is listed, once, and links that lead nowhere are not', async () => {
  const [folder, disk] = [await makeFolder(), await makeFolder()];
  await fs.writeFile(join(disk, 'step-00000001.json'), '{}');
  await fs.writeFile(join(disk, 'run.json'), 'run');
  await fs.symlink(disk, join(folder, 'checkpoints'));
  await fs.symlink(join(disk, 'run.json'), join(folder, 'run.json'));
  await fs.symlink(join(disk, 'gone.json'), join(folder, 'gone.json'));
  await fs.symlink(folder, join(disk, 'back'));
  const store = createNodeFileStore(folder);
  expect(await store.list()).toEqual([
    { name: 'checkpoints/run.json', bytes: 3 },
    { name: 'checkpoints/step-00000001.json', bytes: 2 },
    { name: 'run.json', bytes: 3 },
  ]);
  expect(await store.list('checkpoints/step')).toHaveLength(1);
  // The folder itself may be a link.
  await fs.symlink(folder, join(disk, 'run'));
  expect((await createNodeFileStore(join(disk, 'run')).list()).map(({ name }) => name)).toContain('run.json');
});

test('a link to a place that is not there is called that, wherever in the path it is', async () => {
  const folder = await makeFolder();
  await fs.symlink(join(folder, 'nowhere'), join(folder, 'link'));
  for (const [at, name] of [
    ['link', 'run.json'],
    ['link/deeper', 'run.json'],
    ['.', 'link/run.json'],
  ] as const) {
    const store = createNodeFileStore(join(folder, at));
    const error = await store.write(name, 'x').catch((e: unknown) => e);
    expect(error).toBeInstanceOf(StoreAccessError);
    expect((error as Error).message).toContain(`${join(folder, 'link')} is a link to a place that is not there`);
    await expect(store.append(name, 'x')).rejects.toThrow(StoreAccessError);
  }
  await expect(createNodeFileStore(join(folder, 'link')).lock!()).rejects.toThrow(
    /a link to a place that is not there/,
  );
  expect(await fs.readdir(folder)).toEqual(['link']);
});

test.each([
  ['EROFS', 'the disk is read-only'],
  ['EACCES', 'there is no permission'],
  ['EPERM', 'the system does not permit it'],
])('a folder that refuses (%s): %s', async (code, message) => {
  const refuse = () => Promise.reject(Object.assign(new Error(`${code}: mkdir`), { code, syscall: 'mkdir' }));
  const store = createNodeFileStore(await makeFolder(), { fs: { ...fs, mkdir: refuse, open: refuse } as FileSystem });
  await expect(store.write('run.json', 'x')).rejects.toThrow(message);
  await expect(store.write('run.json', 'x')).rejects.toThrow(StoreAccessError);
});

/** Things of each kind that are no regular files, made at a path; what `close` gives up is held open. */
const irregular: Readonly<Record<string, (path: string) => Promise<() => unknown>>> = {
  'a pipe': async (path) => {
    execFileSync('mkfifo', [path]);
    return () => undefined;
  },
  'a socket': async (path) => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(path, resolve));
    return () => server.close();
  },
  'a link to a device': async (path) => {
    await fs.symlink('/dev/zero', path);
    return () => undefined;
  },
};

test.runIf(process.platform !== 'win32').each(Object.entries(irregular))(
  '%s is never opened, nor replaced: it is refused by name',
  { timeout: 10_000 },
  async (_, make) => {
    const folder = await makeFolder();
    const store = createNodeFileStore(folder);
    await store.write('other', 'x');
    for (const name of ['run.json', 'samples.jsonl', 'checkpoints/3/manifest.json', 'run.lock']) {
      const path = join(folder, name);
      await fs.mkdir(join(path, '..'), { recursive: true });
      const close = await make(path);
      const before = await fs.lstat(path);
      const uses: Record<string, () => Promise<unknown>> = {
        read: () => store.read(name),
        readChunks: () => store.readChunks(name)[Symbol.asyncIterator]().next(),
        append: () => store.append(name, 'x'),
        write: () => store.write(name, 'x'),
        'rename from': () => store.rename(name, 'moved'),
        'rename to': () => store.rename('other', name),
        ...(name === 'run.lock' && { lock: () => store.lock!() }),
      };
      for (const [use, attempt] of Object.entries(uses)) {
        const error = await attempt().catch((reason: unknown) => reason);
        expect(error, use).toBeInstanceOf(StoreAccessError);
        expect(error, use).toMatchObject({ path, code: 'ENOTREG' });
        expect((error as Error).message, use).toContain(path);
      }
      expect((await fs.lstat(path)).ino).toBe(before.ino);
      expect((await store.list()).map((file) => file.name)).toEqual(['other']);
      await close();
    }
  },
);
