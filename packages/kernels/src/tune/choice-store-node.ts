import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { ChoiceStore } from './choice-store.js';

/** A file for each name. Default: beside the weights that were downloaded. */
export function openChoiceStore(folder = join(homedir(), '.cache', 'lapidary', 'kernels')): ChoiceStore {
  const pathOf = (name: string) => join(folder, `${name}.json`);
  return {
    location: folder,
    read: async (name) => {
      try {
        return await readFile(pathOf(name), 'utf8');
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
        throw error;
      }
    },
    write: async (name, text) => {
      await mkdir(folder, { recursive: true });
      const partial = `${pathOf(name)}.${process.pid}.partial`;
      try {
        await writeFile(partial, text);
        await rename(partial, pathOf(name));
      } catch (error) {
        await rm(partial, { force: true });
        throw error;
      }
    },
  };
}
