import { open } from 'node:fs/promises';
import { basename } from 'node:path';
import { WeightFileError, WeightSourceError } from '../errors.js';
import { type ByteSource, checkRange } from './byte-source.js';

/** A file on disk, open until `close`; `name` is what messages call it. @throws {WeightSourceError} when it cannot be opened. */
export async function fileSource(path: string, name = basename(path)): Promise<ByteSource> {
  const handle = await open(path, 'r').catch((error: Error) => {
    throw new WeightSourceError(path, `cannot be opened: ${error.message}`, { cause: error });
  });
  const { size } = await handle.stat();
  const source: ByteSource = {
    name,
    size,
    async read(offset, length, signal) {
      signal?.throwIfAborted();
      checkRange(source, offset, length);
      const bytes = new Uint8Array(length);
      let done = 0;
      while (done < length) {
        const { bytesRead } = await handle.read(bytes, done, length - done, offset + done);
        if (bytesRead === 0)
          throw new WeightFileError(
            { file: path, offset: offset + done },
            'the file became shorter while it was read.',
          );
        done += bytesRead;
      }
      return bytes;
    },
    close: () => handle.close(),
  };
  return source;
}
