import type { stat } from 'node:fs/promises';
import { StoreAccessError } from '../errors/errors.js';

/**
 * Refuses what is neither a regular file nor a folder: to open a pipe may never end, and to write over it takes it from whoever made it.
 * What is not there, and a folder, is left to whoever opens it.
 * @throws StoreAccessError for a pipe, a socket or a device
 */
export async function checkRegular(path: string, fs: { readonly stat: typeof stat }): Promise<void> {
  const found = await fs.stat(path).catch(() => null);
  if (found === null || found.isFile() || found.isDirectory()) return;
  const reason = 'it is a pipe, a device or a socket, not a regular file';
  throw new StoreAccessError({ path, code: 'ENOTREG', reason });
}
