/** As much of a browser's FileSystemDirectoryHandle as the store uses, in memory, with an optional quota in bytes. */
export function createFakeDirectory(name = 'fake', quota = Infinity): FileSystemDirectoryHandle {
  const directories = new Map<string, FileSystemDirectoryHandle>();
  const files = new Map<string, Uint8Array<ArrayBuffer>>();
  const missing = () => new DOMException('not there', 'NotFoundError');

  const fileHandle = (file: string) => ({
    kind: 'file' as const,
    name: file,
    getFile: async () => {
      const bytes = files.get(file);
      if (!bytes) throw missing();
      return new File([bytes], file);
    },
    createWritable: async ({ keepExistingData = false } = {}) => {
      const chunks = keepExistingData ? [files.get(file)!] : [];
      return {
        seek: async () => undefined,
        write: async (chunk: Uint8Array<ArrayBuffer>) => {
          chunks.push(chunk.slice());
          if (chunks.reduce((sum, { length }) => sum + length, 0) > quota)
            throw new DOMException('full', 'QuotaExceededError');
        },
        close: async () => void files.set(file, new Uint8Array(await new Blob(chunks).arrayBuffer())),
        abort: async () => undefined,
      };
    },
  });

  return {
    kind: 'directory',
    name,
    getDirectoryHandle: async (child: string, { create = false } = {}) => {
      if (!directories.has(child)) {
        if (!create) throw missing();
        directories.set(child, createFakeDirectory(child, quota));
      }
      return directories.get(child)!;
    },
    getFileHandle: async (file: string, { create = false } = {}) => {
      if (!files.has(file)) {
        if (!create) throw missing();
        files.set(file, new Uint8Array());
      }
      return fileHandle(file);
    },
    removeEntry: async (entry: string) => {
      if (!files.delete(entry)) throw missing();
    },
    async *entries() {
      for (const [child, handle] of directories) yield [child, handle];
      for (const file of files.keys()) yield [file, fileHandle(file)];
    },
  } as unknown as FileSystemDirectoryHandle;
}
