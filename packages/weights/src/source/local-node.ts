import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join, sep } from 'node:path';
import { WeightSourceError } from '../errors.js';
import { type ByteSource, readSourceText } from './byte-source.js';
import { closeAll } from './close-all.js';
import { fileSource } from './file-node.js';
import type { ModelSource } from './model-source.js';

/** Folders within a model's whose files are read too: chat templates, and modules of sentence-transformers (`2_Dense`). */
const foldersWithin = /^(additional_chat_templates|\d+_[A-Za-z]+)$/;

async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  const names = entries.filter((entry) => !entry.isDirectory()).map(({ name }) => name);
  for (const { name: within } of entries.filter((entry) => entry.isDirectory() && foldersWithin.test(entry.name))) {
    const others = await readdir(join(folder, within), { withFileTypes: true }).catch(() => []);
    for (const other of others) if (!other.isDirectory()) names.push(`${within}/${other.name}`);
  }
  return names;
}

/** A folder with a model, or one weights file whose neighbours may say more about it; undefined where there is nothing. */
export async function openLocal(path: string): Promise<ModelSource | undefined> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) {
    // What was plainly meant as a path is not looked for on a hub.
    if (/^([./~\\]|[A-Za-z]:)/.test(path)) throw new WeightSourceError(path, 'there is no such file or folder.');
    return undefined;
  }
  // Says at once what it is, where it is neither.
  if (!found.isDirectory() && !found.isFile()) await fileSource(path);
  const folder = found.isDirectory() ? path : dirname(path);
  const files = await filesIn(folder);
  const present = new Set(files);
  // As the path was given, for messages.
  const start = found.isDirectory() ? path.replace(/[/\\]*$/, sep) : path.slice(0, path.length - basename(path).length);
  const placeOf = (file: string) => `${start}${file}`;
  const opened: ByteSource[] = [];
  return {
    name: path,
    ...(!found.isDirectory() && { main: basename(path) }),
    files,
    async open(file) {
      if (!present.has(file)) return undefined;
      const source = await fileSource(join(folder, file), placeOf(file));
      opened.push(source);
      return source;
    },
    async readText(file) {
      if (!present.has(file)) return undefined;
      const source = await fileSource(join(folder, file), placeOf(file));
      try {
        return await readSourceText(source);
      } finally {
        await source.close?.();
      }
    },
    close: () => closeAll(opened.splice(0)),
  };
}
