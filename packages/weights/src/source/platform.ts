import type { HttpOptions } from './http.js';
import type { ByteSource } from './byte-source.js';
import type { ModelSource } from './model-source.js';

/** One file of a hub repository. */
export interface HubFile {
  readonly endpoint: string;
  /** `owner/name` */
  readonly id: string;
  readonly revision: string;
  readonly file: string;
  readonly url: string;
}

/** What differs between Node and a browser. */
export interface Platform {
  /** A folder or file on disk; undefined where there is none, and always in a browser. */
  openLocal(path: string): Promise<ModelSource | undefined>;
  /** A hub file, through a cache where there is one; undefined where the hub has no such file. */
  openHubFile(file: HubFile, options: HttpOptions & { readonly cacheDir?: string }): Promise<ByteSource | undefined>;
}
