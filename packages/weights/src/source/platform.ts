import type { ByteSource } from './byte-source.js';
import type { DownloadOptions } from './http.js';
import type { ModelSource } from './model-source.js';

/** A model on a hub. */
export interface HubPlace {
  /** Without a slash at its end. */
  readonly endpoint: string;
  /** `owner/name`; of a data set `datasets/owner/name` */
  readonly id: string;
  readonly revision: string;
}

/** One file of a hub repository. */
export interface HubFile extends HubPlace {
  readonly file: string;
  readonly url: string;
}

export interface HubRepository {
  /** The names of all its files, where the hub tells: of a model in Node nobody asks. */
  readonly files?: readonly string[];
  /** A file, through a cache where there is one; undefined where the hub has no such file. */
  open(file: string): Promise<ByteSource | undefined>;
}

export type PlatformOptions = DownloadOptions & { readonly cacheDir?: string };

/** What differs between Node and a browser. */
export interface Platform {
  /** A folder or file on disk; undefined where there is none, and always in a browser. */
  openLocal(path: string): Promise<ModelSource | undefined>;
  openHub(place: HubPlace, options: PlatformOptions): Promise<HubRepository>;
  /** A file by its URL, kept under `model` where there is a cache; undefined where the server has no such file. */
  openUrl(model: string, url: string, options: DownloadOptions): Promise<ByteSource | undefined>;
  /** The same for a small text file. */
  readUrlText(model: string, url: string, options: DownloadOptions): Promise<string | undefined>;
}

/** Where a hub serves a file. `revision` may be a branch, a tag or a commit. */
export function hubFileUrl({ endpoint, id, revision }: HubPlace, file: string): string {
  return `${endpoint}/${id}/resolve/${encodeURIComponent(revision)}/${file.split('/').map(encodeURIComponent).join('/')}`;
}
