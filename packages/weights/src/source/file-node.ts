import { open, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { WeightFileError, WeightSourceError } from '../errors.js';
import { type ByteSource, checkRange } from './byte-source.js';

/**
 * A file on disk, open until `close`; `name` is what messages call it.
 * @throws {WeightSourceError} when it cannot be opened, or is a folder, a pipe or a device: those need not end, nor even open.
 */
export async function fileSource(path: string, name = basename(path)): Promise<ByteSource> {
  const found = await stat(path).catch(() => undefined);
  if (found?.isFile() === false) {
    const kind = found.isDirectory() ? 'a folder' : 'a pipe, a device or a socket';
    throw new WeightSourceError(path, `is ${kind}; only a regular file can be read.`);
  }
  const handle = await open(path, 'r').catch((error: Error) => {
    throw new WeightSourceError(path, `cannot be opened: ${error.message}`, { cause: error });
  });
  const { size } = await handle.stat();
  const source: ByteSource = {
    name,
    size,
    // One is read while the one before it is used.
    ahead: 1,
    async read(offset, length, signal) {
      checkRange(source, offset, length);
      const bytes = new Uint8Array(length);
      await readInto(offset, bytes, signal);
      return bytes;
    },
    readInto,
    close: () => handle.close(),
  };

  async function readInto(offset: number, target: Uint8Array, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    const { length } = target;
    checkRange(source, offset, length);
    let done = 0;
    while (done < length) {
      const { bytesRead } = await handle.read(target, done, length - done, offset + done);
      if (bytesRead === 0)
        throw new WeightFileError({ file: path, offset: offset + done }, 'the file became shorter while it was read.');
      done += bytesRead;
    }
  }
  return source;
}
