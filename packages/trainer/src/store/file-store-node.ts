import { randomBytes } from 'node:crypto';
import * as nodeFs from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { lockFile } from './file-names.js';
import { makeFolder } from './make-folder-node.js';
import { lockFolder } from './run-lock-node.js';
import { DiskFullError, StoreAccessError, StoredFileMissingError } from '../errors/errors.js';
import { checkRegular } from './regular-file-node.js';
import { checkStoreName, toChunks, unfinishedSuffix, type FileStore, type StoredFile } from './file-store.js';

/** The part of `node:fs/promises` that is used: tests put a failing disk in its place. */
export type FileSystem = Pick<
  typeof nodeFs,
  'open' | 'rename' | 'unlink' | 'mkdir' | 'readdir' | 'realpath' | 'stat' | 'truncate'
>;

/** Large enough that a disk streams, small enough to be nothing beside a tensor. */
const chunkBytes = 1 << 20;
const fullDiskCodes = new Set(['ENOSPC', 'EDQUOT']);
/** What the system means by its codes, for errors that the user can do something about. */
const refusals: Readonly<Record<string, string>> = {
  EACCES: 'there is no permission',
  EPERM: 'the system does not permit it',
  EROFS: 'the disk is read-only',
  ENOTDIR: 'a part of the path is a file, not a folder',
  EEXIST: 'a part of the path is a file, not a folder',
  EISDIR: 'there is a folder where a file should be',
  ENAMETOOLONG: 'the name is too long',
  ELOOP: 'its links lead in a circle',
  EBUSY: 'another program is using it',
  // The only argument that is not checked before.
  ERR_INVALID_ARG_VALUE: 'there is a NUL in it',
};

/**
 * A directory on disk; it is made when the first file is written. Atomic writes: a temporary file beside the target,
 * fsync, rename over it, fsync of the directory.
 */
export function createNodeFileStore(directory: string, { fs = nodeFs }: { fs?: FileSystem } = {}): FileStore {
  return new NodeFileStore(resolve(directory), fs);
}

class NodeFileStore implements FileStore {
  readonly location: string;
  readonly #fs: FileSystem;

  constructor(location: string, fs: FileSystem) {
    this.location = location;
    this.#fs = fs;
  }

  #pathOf(name: string): string {
    return join(this.location, ...checkStoreName(name).split('/'));
  }

  async write(name: string, content: Parameters<FileStore['write']>[1]): Promise<void> {
    const path = this.#pathOf(name);
    const temporary = `${path}.${process.pid}-${randomBytes(4).toString('hex')}${unfinishedSuffix}`;
    let written = 0;
    let isOurs = false;
    try {
      await makeFolder(dirname(path), this.#fs);
      await checkRegular(path, this.#fs);
      const file = await this.#fs.open(temporary, 'wx');
      isOurs = true;
      try {
        for await (const chunk of toChunks(content)) {
          written += chunk.length;
          await writeAll(file, chunk);
        }
        await file.sync();
      } finally {
        await file.close();
      }
      await this.#fs.rename(temporary, path);
      isOurs = false;
      await syncDirectory(dirname(path), this.#fs);
    } catch (error) {
      if (isOurs) await this.#fs.unlink(temporary).catch(() => undefined);
      throw await translate(error, path, written);
    }
  }

  async append(name: string, content: Uint8Array | string): Promise<void> {
    const path = this.#pathOf(name);
    const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content;
    let before: number | null = null;
    try {
      await makeFolder(dirname(path), this.#fs);
      const file = await openRegular(path, 'a', this.#fs);
      try {
        before = (await file.stat()).size;
        await writeAll(file, bytes);
      } finally {
        await file.close();
      }
    } catch (error) {
      // Half a line would make the file unreadable for others.
      if (before !== null) await this.#fs.truncate(path, before).catch(() => undefined);
      throw await translate(error, path, bytes.length);
    }
  }

  async *readChunks(name: string): AsyncGenerator<Uint8Array> {
    const path = this.#pathOf(name);
    const file = await openRegular(path, 'r', this.#fs).catch(async (error: unknown) => {
      throw await translate(error, path, 0);
    });
    try {
      for (;;) {
        const { bytesRead, buffer } = await file.read(new Uint8Array(chunkBytes), 0, chunkBytes, null);
        if (bytesRead === 0) return;
        yield buffer.subarray(0, bytesRead);
      }
    } finally {
      await file.close();
    }
  }

  async read(name: string, range?: { start: number; end: number }): Promise<Uint8Array> {
    const path = this.#pathOf(name);
    try {
      const file = await openRegular(path, 'r', this.#fs);
      try {
        const size = (await file.stat()).size;
        const start = Math.min(range?.start ?? 0, size);
        const bytes = new Uint8Array(Math.max(0, Math.min(range?.end ?? size, size) - start));
        let done = 0;
        while (done < bytes.length) {
          const { bytesRead } = await file.read(bytes, done, bytes.length - done, start + done);
          if (bytesRead === 0) return bytes.subarray(0, done);
          done += bytesRead;
        }
        return bytes;
      } finally {
        await file.close();
      }
    } catch (error) {
      throw await translate(error, path, 0);
    }
  }

  async list(prefix = ''): Promise<readonly StoredFile[]> {
    const found: StoredFile[] = [];
    const enter = async (folder: string, around: readonly string[]): Promise<void> => {
      const path = join(this.location, folder);
      // Folders and files may be links, to a larger disk say; one that leads back to where it is would have no end.
      const real = await this.#fs.realpath(path);
      if (around.includes(real)) return;
      for (const entry of await this.#fs.readdir(path, { withFileTypes: true })) {
        if (entry.name.endsWith(unfinishedSuffix) || entry.name === lockFile) continue;
        const name = folder === '' ? entry.name : `${folder}/${entry.name}`;
        // Null: removed in between, or a link to nowhere.
        const stats = await this.#fs.stat(join(this.location, name)).catch(() => null);
        if (stats?.isDirectory()) await enter(name, [...around, real]);
        else if (stats?.isFile() && name.startsWith(prefix)) found.push({ name, bytes: stats.size });
      }
    };
    await enter('', []).catch(async (error: unknown) => {
      if (!hasCode(error, 'ENOENT')) throw await translate(error, this.location, 0);
    });
    return found.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  async remove(name: string): Promise<void> {
    const path = this.#pathOf(name);
    await this.#fs.unlink(path).catch(async (error: unknown) => {
      if (!hasCode(error, 'ENOENT')) throw await translate(error, path, 0);
    });
  }

  async lock(): Promise<() => Promise<void>> {
    try {
      return await lockFolder(this.location);
    } catch (error) {
      throw await translate(error, join(this.location, lockFile), 0);
    }
  }

  async rename(from: string, to: string): Promise<void> {
    const target = this.#pathOf(to);
    try {
      await makeFolder(dirname(target), this.#fs);
      for (const path of [this.#pathOf(from), target]) await checkRegular(path, this.#fs);
      await this.#fs.rename(this.#pathOf(from), target);
      await syncDirectory(dirname(target), this.#fs);
    } catch (error) {
      throw await translate(error, hasCode(error, 'ENOENT') ? this.#pathOf(from) : target, 0);
    }
  }
}

/** Removes what writers that died left behind in a directory; files of processes that still run stay. */
export async function removeUnfinishedFiles(directory: string): Promise<readonly string[]> {
  const entries = await nodeFs.readdir(directory, { recursive: true, withFileTypes: true }).catch(() => []);
  const removed: string[] = [];
  for (const entry of entries) {
    const pid = /\.(\d+)-[0-9a-f]{8}\.unfinished$/.exec(entry.name)?.[1];
    if (!entry.isFile() || pid === undefined || isRunning(Number(pid))) continue;
    const path = join(entry.parentPath ?? entry.path, entry.name);
    await nodeFs.unlink(path).catch(() => undefined);
    removed.push(path);
  }
  return removed;
}

async function openRegular(path: string, flags: 'r' | 'a', fs: FileSystem): Promise<nodeFs.FileHandle> {
  await checkRegular(path, fs);
  return fs.open(path, flags);
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return hasCode(error, 'EPERM');
  }
}

async function writeAll(file: nodeFs.FileHandle, bytes: Uint8Array): Promise<void> {
  let done = 0;
  while (done < bytes.length) done += (await file.write(bytes, done, bytes.length - done)).bytesWritten;
}

/** Makes the rename itself survive a power cut. Windows cannot open directories, and needs no such thing. */
async function syncDirectory(path: string, fs: FileSystem): Promise<void> {
  if (process.platform === 'win32') return;
  const directory = await fs.open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/** An error of the system as one that says what is there and what to do. */
async function translate(error: unknown, path: string, bytes: number): Promise<unknown> {
  if (error instanceof StoreAccessError) return error;
  const code = (error as NodeJS.ErrnoException | null)?.code;
  if (code !== undefined && fullDiskCodes.has(code)) return new DiskFullError({ path, bytes }, { cause: error });
  // What is said of a path that leads over a link to nowhere differs from system to system.
  if (code === 'ENOENT' || code === 'EEXIST' || code === 'ENOTDIR') {
    const dangling = await findDanglingLink(path);
    if (dangling !== null) {
      const reason = `${dangling} is a link to a place that is not there`;
      return new StoreAccessError({ path, code, reason }, { cause: error });
    }
  }
  if (code === 'ENOENT') return new StoredFileMissingError({ path }, { cause: error });
  const reason = code === undefined ? undefined : refusals[code];
  return reason === undefined
    ? error
    : new StoreAccessError({ path: path.replaceAll('\0', '\\0'), code: code!, reason }, { cause: error });
}

/** The first part of a path that is a link to nowhere; null where there is none. */
async function findDanglingLink(path: string): Promise<string | null> {
  for (let part = path, last = ''; part !== last; last = part, part = dirname(part)) {
    const isLink = await nodeFs.lstat(part).then(
      (found) => found.isSymbolicLink(),
      () => false,
    );
    if (isLink && (await nodeFs.stat(part).catch(() => null)) === null) return part;
  }
  return null;
}

function hasCode(error: unknown, code: string): boolean {
  return (error as NodeJS.ErrnoException | null)?.code === code;
}
