import { StoredFileMissingError } from '../errors/errors.js';
import { checkStoreName, toChunks, type FileStore } from './file-store.js';

/** A store that lives as long as the object: for tests, and for pages that hand the files to the user themselves. */
export function createMemoryStore(): FileStore {
  const files = new Map<string, Uint8Array>();
  const get = (name: string): Uint8Array => {
    const file = files.get(checkStoreName(name));
    if (!file) throw new StoredFileMissingError({ path: `memory:${name}` });
    return file;
  };
  return {
    location: 'memory:',
    async write(name, content) {
      checkStoreName(name);
      const chunks: Uint8Array[] = [];
      for await (const chunk of toChunks(content)) chunks.push(chunk.slice());
      files.set(name, concat(chunks));
    },
    async append(name, content) {
      const added = typeof content === 'string' ? new TextEncoder().encode(content) : content;
      files.set(checkStoreName(name), concat([files.get(name) ?? new Uint8Array(), added]));
    },
    async read(name, range) {
      return get(name).slice(range?.start, range?.end);
    },
    async *readChunks(name) {
      yield get(name).slice();
    },
    async list(prefix = '') {
      const names = [...files.keys()].filter((name) => name.startsWith(prefix)).sort();
      return names.map((name) => ({ name, bytes: get(name).length }));
    },
    async remove(name) {
      files.delete(checkStoreName(name));
    },
    async rename(from, to) {
      const content = get(from);
      files.delete(from);
      files.set(checkStoreName(to), content);
    },
  };
}

function concat(chunks: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}
