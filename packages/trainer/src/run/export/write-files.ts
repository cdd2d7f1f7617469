import type { FileContent, FileStore } from '../../store/file-store.js';

/** Writes all of them, or none: what was written before one that fails is removed. @returns their names */
export async function writeFiles(store: FileStore, files: Readonly<Record<string, FileContent>>): Promise<string[]> {
  const written: string[] = [];
  try {
    for (const [name, content] of Object.entries(files)) {
      await store.write(name, content);
      written.push(name);
    }
  } catch (error) {
    for (const name of written) await store.remove(name).catch(() => undefined);
    throw error;
  }
  return written;
}
