import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join, sep } from 'node:path';
import { WeightSourceError } from '../errors.js';
import { type ByteSource, readSourceText } from './byte-source.js';
import { closeAll } from './close-all.js';
import { fileSource } from './file-node.js';
import type { ModelSource } from './model-source.js';

/** The one folder within a model's whose files are listed too. */
const templateFolder = 'additional_chat_templates';

async function filesIn(folder: string, within?: string): Promise<string[]> {
  const entries = await readdir(within === undefined ? folder : join(folder, within), { withFileTypes: true }).catch(
    (error: unknown) => {
      if (within === undefined) throw error;
      return [];
    },
  );
  const names = entries.filter((entry) => !entry.isDirectory()).map(({ name }) => name);
  return within === undefined ? names : names.map((name) => `${within}/${name}`);
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
  const files = [...(await filesIn(folder)), ...(await filesIn(folder, templateFolder))];
  const present = new Set(files);
  // As the path was given, for messages.
  const start = found.isDirectory() ? path.replace(/[/\\]*$/, sep) : path.slice(0, path.length - basename(path).length);
  const placeOf = (file: string) => `${start}${file}`;
  const opened: ByteSource[] = [];
  // Other folders are not listed: a model's may lie beside whatever else people keep.
  const isThere = async (file: string) =>
    present.has(file) ||
    (/^\w+\/[\w.]+$/.test(file) && (await stat(join(folder, file)).catch(() => undefined))?.isFile() === true);
  return {
    name: path,
    ...(!found.isDirectory() && { main: basename(path) }),
    files,
    async open(file) {
      if (!(await isThere(file))) return undefined;
      const source = await fileSource(join(folder, file), placeOf(file));
      opened.push(source);
      return source;
    },
    async readText(file) {
      if (!(await isThere(file))) return undefined;
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
