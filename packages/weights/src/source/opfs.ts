// Folders and whole files of the browser's private file system (OPFS).
// `createWritable` writes beside the file and takes its place when closed: a file holds all that was written, or nothing.

/** @throws where the browser has no private file system here: in Node, without https, in some private windows. */
export async function privateRoot(): Promise<FileSystemDirectoryHandle> {
  const storage = (globalThis.navigator as Navigator | undefined)?.storage;
  if (typeof storage?.getDirectory !== 'function') throw new Error('there is no private file system');
  return storage.getDirectory();
}

/** undefined where there is none of this name. */
export async function fileIn(folder: FileSystemDirectoryHandle, name: string): Promise<File | undefined> {
  try {
    return await (await folder.getFileHandle(name)).getFile();
  } catch {
    return undefined;
  }
}

/** undefined where there is none of this name. */
export async function folderIn(
  folder: FileSystemDirectoryHandle,
  name: string,
): Promise<FileSystemDirectoryHandle | undefined> {
  try {
    return await folder.getDirectoryHandle(name);
  } catch {
    return undefined;
  }
}

export async function foldersIn(folder: FileSystemDirectoryHandle): Promise<FileSystemDirectoryHandle[]> {
  const found: FileSystemDirectoryHandle[] = [];
  for await (const handle of folder.values()) if (isFolder(handle)) found.push(handle);
  return found;
}

function isFolder(handle: FileSystemHandle): handle is FileSystemDirectoryHandle {
  return handle.kind === 'directory';
}

/** All of it or nothing. @throws `QuotaExceededError` where there is no room. */
export async function writeWhole(
  folder: FileSystemDirectoryHandle,
  name: string,
  content: Uint8Array | string,
): Promise<void> {
  const handle = await folder.getFileHandle(name, { create: true });
  const stream = await handle.createWritable();
  try {
    await stream.write(content as Uint8Array<ArrayBuffer> | string);
    await stream.close();
  } catch (error) {
    await stream.abort().catch(() => undefined);
    throw error;
  }
}

/** What a small JSON file says; undefined where there is none, or it is none. */
export async function readJsonIn(folder: FileSystemDirectoryHandle, name: string): Promise<unknown> {
  try {
    const file = await fileIn(folder, name);
    return file && (JSON.parse(await file.text()) as unknown);
  } catch {
    return undefined;
  }
}

/** Whether there is nothing of this name now. */
export async function removeIn(folder: FileSystemDirectoryHandle, name: string): Promise<boolean> {
  try {
    await folder.removeEntry(name, { recursive: true });
    return true;
  } catch (error) {
    // NoModificationAllowedError: another tab is writing it.
    return error instanceof DOMException && error.name === 'NotFoundError';
  }
}
