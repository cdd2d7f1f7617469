import * as nodeFs from 'node:fs/promises';
import { dirname } from 'node:path';
import { StoreAccessError } from '../errors/errors.js';

/**
 * Makes a folder and those around it. Node's own way, `recursive`, never ends where a parent is there and takes no folder (`/proc`), and
 * calls a disk that is read-only a file that is missing.
 * @returns those that were not there, the outermost first
 * @throws StoreAccessError for such a parent; errors of the system
 */
export async function makeFolder(path: string, fs: Pick<typeof nodeFs, 'mkdir' | 'stat'> = nodeFs): Promise<string[]> {
  try {
    await fs.mkdir(path);
    return [path];
  } catch (error) {
    const isFolder = (of: string) =>
      fs.stat(of).then(
        (found) => found.isDirectory(),
        () => false,
      );
    if (await isFolder(path)) return [];
    const around = dirname(path);
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || around === path) throw error;
    if (await isFolder(around))
      throw new StoreAccessError({ path, code: 'ENOENT', reason: `${around} takes no folders` }, { cause: error });
    return [...(await makeFolder(around, fs)), ...(await makeFolder(path, fs))];
  }
}
