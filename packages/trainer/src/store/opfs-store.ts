import { DiskFullError, RunInUseError, StoredFileMissingError } from '../errors/errors.js';
import { checkStoreName, toChunks, unfinishedSuffix, type FileStore, type StoredFile } from './file-store.js';

const chunkBytes = 1 << 20;

/**
 * A folder of the browser's private file system (OPFS), or of one the user picked. `createWritable` writes beside the
 * file and takes its place when it is closed, which is what makes `write` atomic.
 */
export function createDirectoryHandleStore(
  root: FileSystemDirectoryHandle,
  location = `opfs:/${root.name}`,
): FileStore {
  async function directoryOf(
    name: string,
    create: boolean,
  ): Promise<{ directory: FileSystemDirectoryHandle; last: string }> {
    const parts = checkStoreName(name).split('/');
    const last = parts.pop() ?? '';
    let directory = root;
    for (const part of parts) directory = await directory.getDirectoryHandle(part, { create });
    return { directory, last };
  }

  async function fileOf(name: string): Promise<File> {
    try {
      const { directory, last } = await directoryOf(name, false);
      return await (await directory.getFileHandle(last)).getFile();
    } catch (error) {
      throw translate(error, name, 0);
    }
  }

  async function write(
    name: string,
    content: Parameters<FileStore['write']>[1],
    keepExistingData = false,
  ): Promise<void> {
    const { directory, last } = await directoryOf(name, true);
    // createWritable needs the file to be there; one that we made is removed again if the write fails.
    const existed = await directory.getFileHandle(last).then(
      () => true,
      () => false,
    );
    let written = 0;
    let stream: FileSystemWritableFileStream | undefined;
    try {
      const handle = await directory.getFileHandle(last, { create: true });
      stream = await handle.createWritable({ keepExistingData });
      if (keepExistingData) await stream.seek((await handle.getFile()).size);
      for await (const chunk of toChunks(content)) {
        written += chunk.length;
        await stream.write(chunk as Uint8Array<ArrayBuffer>);
      }
      await stream.close();
    } catch (error) {
      await stream?.abort().catch(() => undefined);
      if (!existed) await directory.removeEntry(last).catch(() => undefined);
      throw translate(error, name, written);
    }
  }

  async function remove(name: string): Promise<void> {
    try {
      const { directory, last } = await directoryOf(name, false);
      await directory.removeEntry(last);
    } catch (error) {
      if (!isNamed(error, 'NotFoundError')) throw error;
    }
  }

  async function* readChunks(name: string): AsyncGenerator<Uint8Array> {
    const file = await fileOf(name);
    for (let start = 0; start < file.size; start += chunkBytes) {
      yield new Uint8Array(await file.slice(start, start + chunkBytes).arrayBuffer());
    }
  }

  return {
    location,
    write: (name, content) => write(name, content),
    append: (name, content) => write(name, content, true),
    async read(name, range) {
      const file = await fileOf(name);
      return new Uint8Array(await (range ? file.slice(range.start, range.end) : file).arrayBuffer());
    },
    readChunks,
    async list(prefix = '') {
      const found: StoredFile[] = [];
      for await (const { name, handle } of walk(root, '')) {
        if (name.startsWith(prefix) && !name.endsWith(unfinishedSuffix))
          found.push({ name, bytes: (await handle.getFile()).size });
      }
      return found.sort((a, b) => (a.name < b.name ? -1 : 1));
    },
    remove,
    async rename(from, to) {
      // Not every browser has `move`; a copy that is complete before the old name goes is as safe.
      await fileOf(from);
      await write(to, readChunks(from));
      await remove(from);
    },
  };

  function translate(error: unknown, name: string, bytes: number): unknown {
    const path = `${location}/${name}`;
    if (isNamed(error, 'QuotaExceededError')) return new DiskFullError({ path, bytes }, { cause: error });
    if (isNamed(error, 'NotFoundError')) return new StoredFileMissingError({ path }, { cause: error });
    return error;
  }
}

/** A folder (made if needed) of this origin's private file system. Browsers only. */
export async function openOpfsStore(folder: string): Promise<FileStore> {
  let directory = await navigator.storage.getDirectory();
  for (const part of checkStoreName(folder).split('/'))
    directory = await directory.getDirectoryHandle(part, { create: true });
  const store = createDirectoryHandleStore(directory, `opfs:/${folder}`);
  return { ...store, lock: () => lockByName(store.location) };
}

/** For as long as the page, or worker, lives at most. */
function lockByName(location: string): Promise<() => Promise<void>> {
  return new Promise((resolve, reject) => {
    navigator.locks
      .request(`lapidary ${location}`, { ifAvailable: true }, (lock) => {
        if (lock === null) throw new RunInUseError({ location });
        return new Promise<void>((release) => resolve(async () => release()));
      })
      .catch(reject);
  });
}

async function* walk(
  directory: FileSystemDirectoryHandle,
  prefix: string,
): AsyncGenerator<{ name: string; handle: FileSystemFileHandle }> {
  for await (const [key, handle] of directory.entries()) {
    if (handle.kind === 'file') yield { name: prefix + key, handle: handle as FileSystemFileHandle };
    else yield* walk(handle as FileSystemDirectoryHandle, `${prefix}${key}/`);
  }
}

function isNamed(error: unknown, name: string): boolean {
  return (error as { name?: unknown } | null)?.name === name;
}
