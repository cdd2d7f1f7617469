import { platform } from '#platform';
import { showValue } from '@lapidary/gemma/model';
import { WeightSourceError } from '../errors.js';
import { blobSource, type ByteSource, readSourceText } from './byte-source.js';
import { closeAll } from './close-all.js';
import { type DownloadOptions, fileNameIn } from './http.js';
import { type HubOptions, hubModel, isHubId } from './hub.js';
import { withNoticesOnce } from './notices.js';

/** The files of one model, wherever they lie. */
export interface ModelSource {
  /** For messages: a folder, a hub id, a URL. */
  readonly name: string;
  /** The weights file that was named itself, where it was one file and not a model. */
  readonly main?: string;
  /** The names of its files, where they can be listed: a URL cannot, nor every hub. */
  readonly files?: readonly string[];
  /** undefined where there is no such file. */
  open(file: string): Promise<ByteSource | undefined>;
  /** A small file as text; undefined where there is no such file. */
  readText(file: string): Promise<string | undefined>;
  close(): Promise<void>;
}

/** How the files of a model are read. */
export interface ModelSourceOptions extends HubOptions {}

/**
 * What a model can be opened from: a folder, a .safetensors, .gguf or .npz file, a URL of one, a hub id (`owner/name`, or
 * `owner/name/file.gguf`), one `File`, or the list of files that make up a model.
 */
export type ModelLocation = string | ByteSource | Blob | readonly (ByteSource | Blob)[];

/** The address of a model's page on the hub, or of a file there, as one copies it from a browser. */
const hubPagePattern =
  /^https:\/\/huggingface\.co\/([\w-][\w.-]*\/[\w-][\w.-]*)(?:\/(?:tree|blob|resolve)\/([\w.-]+)(?:\/([\w./-]+\.(?:gguf|safetensors|npz)))?)?\/?(?:\?.*)?$/;

/** `owner/name` of a hub id, of a file there, or of a page of the hub's; undefined for anything else. */
export function hubIdOf(location: string): string | undefined {
  const id = hubPagePattern.exec(location)?.[1] ?? (isHubId(location) ? location : undefined);
  return id?.split('/').slice(0, 2).join('/');
}

/** @throws {WeightSourceError} when there is nothing at `from`. */
export async function openModelSource(from: ModelLocation, options: ModelSourceOptions = {}): Promise<ModelSource> {
  if (typeof from !== 'string') return listedFiles(Array.isArray(from) ? from : [from]);
  const page = hubPagePattern.exec(from);
  if (page)
    return hubModel(
      [page[1], page[3]].filter(Boolean).join('/'),
      withNoticesOnce({ ...options, ...(page[2] && { revision: page[2] }) }),
    );
  if (/^https?:\/\//.test(from)) {
    if (!URL.canParse(from))
      throw new WeightSourceError(from, 'is no address: there is no host in it, or none that can be.');
    const { username, password } = new URL(from);
    if (username !== '' || password !== '')
      throw new WeightSourceError(
        from,
        'there is a user or a password before the host, which is not sent. Say it with `headers` in code, or download the files.',
      );
    return urlModel(from, withNoticesOnce(options));
  }
  const local = await platform.openLocal(from);
  if (local !== undefined) return local;
  if (isHubId(from)) return hubModel(from, withNoticesOnce(options));
  throw new WeightSourceError(from, 'there is no such file or folder, and it is no hub id of the form owner/name.');
}

function listedFiles(items: readonly (ByteSource | Blob)[]): ModelSource {
  const sources = items.map(sourceOf);
  const names = namesOf(items.map((item, i) => pathIn(item) ?? sources[i]!.name));
  const byName = new Map<string, ByteSource>();
  const hasRoot = names.some((name) => !name.includes('/'));
  for (const [i, source] of sources.entries()) {
    const name = hasRoot ? names[i]! : baseName(source.name);
    if (byName.has(name))
      throw new WeightSourceError(
        name,
        'is the name of two of the files: give those of one model; one with folders in it is picked as a whole folder.',
      );
    byName.set(name, source);
  }
  const find = (file: string) =>
    byName.get(file) ?? (folderOf(file) === templateFolder ? byName.get(baseName(file)) : undefined);
  if (sources.length === 0) throw new WeightSourceError('(no files)', 'the list of files is empty.');
  // One file is what it is; among several, as in a folder, the names tell.
  const main = sources.length === 1 ? sources[0] : undefined;
  return {
    name: main?.name ?? `${sources.length} files`,
    ...(main && { main: baseName(main.name) }),
    files: [...byName.keys()],
    open: async (file) => find(file),
    readText: (file) => readSourceText(find(file)),
    close: () => closeAll(sources),
  };
}

/** Of a file that was picked with its folder: `embeddinggemma-300m/2_Dense/config.json`. */
function pathIn(item: ByteSource | Blob): string | undefined {
  const path: unknown = 'webkitRelativePath' in item ? item.webkitRelativePath : undefined;
  return typeof path === 'string' && path !== '' ? path : undefined;
}

/** What files are called: without folders where that tells them apart, else by their paths below the folder that all are in. */
function namesOf(paths: readonly string[]): readonly string[] {
  const bare = paths.map(baseName);
  if (new Set(bare).size === bare.length) return bare;
  const parts = paths.map((path) => path.split(/[/\\]/));
  const [first = []] = parts;
  let common = 0;
  while (parts.every((each) => common + 1 < each.length && each[common] === first[common])) common++;
  return parts.map((each) => each.slice(common).join('/'));
}

function sourceOf(item: unknown): ByteSource {
  if (item instanceof Blob) return blobSource(item);
  if (typeof item === 'object' && item !== null && 'read' in item && 'name' in item && typeof item.name === 'string')
    return item as ByteSource;
  throw new WeightSourceError(
    showValue(item, 40),
    'is nothing that a model can be read from: give a path, a URL, a hub id, or Files (`bufferSource(name, bytes)` for bytes).',
  );
}

/** The folder whose files may be given without it. */
const templateFolder = 'additional_chat_templates';
const folderOf = (path: string) => path.slice(0, Math.max(0, path.lastIndexOf('/')));

export function baseName(path: string): string {
  return path.split(/[/\\]/).pop() ?? path;
}

function urlModel(url: string, options: DownloadOptions): ModelSource {
  const { pathname } = new URL(url);
  const isFile = /\.(gguf|safetensors|npz)$/i.test(pathname);
  const base = isFile ? new URL('.', url).href : `${url.replace(/\/$/, '')}/`;
  const resolve = (file: string) => {
    const target = new URL(file, base);
    target.search = new URL(url).search;
    return target.href;
  };
  const opened: ByteSource[] = [];
  return {
    name: url,
    ...(isFile && { main: fileNameIn(url) }),
    async open(file) {
      const source = await platform.openUrl(url, resolve(file), options);
      if (source !== undefined) opened.push(source);
      return source;
    },
    readText: (file) => platform.readUrlText(url, resolve(file), options),
    close: () => closeAll(opened.splice(0)),
  };
}
