import { platform } from '#platform';
import { WeightSourceError } from '../errors.js';
import type { DownloadOptions } from './http.js';
import { closeAll } from './close-all.js';
import { type ByteSource, readSourceText } from './byte-source.js';
import type { ModelSource } from './model-source.js';
import type { HubRepository } from './platform.js';

/** Which hub, and as whom. */
export interface HubOptions extends DownloadOptions {
  /** Branch, tag or commit. Default `main`. */
  readonly revision?: string;
  /** Access token for models behind a licence. Sent to the hub only. */
  readonly token?: string;
  /** Default `https://huggingface.co`. */
  readonly endpoint?: string;
  /** Where downloads are kept, in Node. Default `~/.cache/lapidary`. */
  readonly cacheDir?: string;
}

const idPattern = /^([\w-][\w.-]*\/[\w-][\w.-]*)(?:\/([\w./-]+\.(?:gguf|safetensors|npz)))?$/;

/** Whether `text` has the form of a hub id: `owner/name`, or `owner/name/file.gguf`. */
export function isHubId(text: string): boolean {
  return idPattern.test(text) && !text.includes('..');
}

/** A repository by its path on a hub: `owner/name`, or `datasets/owner/name`. */
export async function openHubPlace(path: string, options: HubOptions): Promise<HubRepository> {
  const { revision = 'main', endpoint = 'https://huggingface.co', token, ...download } = options;
  if (token !== undefined && /[^\x21-\x7e]/.test(token))
    throw new WeightSourceError(
      path,
      'the access token is none: there is a space, a line break or a letter in it that no token has. Look at HF_TOKEN, or at the file of `hf auth login`.',
    );
  const headers = { ...download.headers, ...(token && { Authorization: `Bearer ${token}` }) };
  return platform.openHub({ endpoint: endpoint.replace(/\/$/, ''), id: path, revision }, { ...download, headers });
}

/**
 * A model on a Hugging Face hub. In Node, files are downloaded once and kept; in a browser they are read by ranges, and
 * what was read is kept.
 */
export async function hubModel(location: string, options: HubOptions = {}): Promise<ModelSource> {
  const [, id, main] = idPattern.exec(location) ?? [];
  if (id === undefined) throw new WeightSourceError(location, 'is no hub id of the form owner/name.');
  const repository = await openHubPlace(id, options);
  const opened: ByteSource[] = [];
  return {
    name: location,
    ...(main !== undefined && { main }),
    ...(repository.files && { files: repository.files }),
    async open(file) {
      const source = await repository.open(file);
      if (source !== undefined) opened.push(source);
      return source;
    },
    async readText(file) {
      const source = await repository.open(file);
      try {
        return await readSourceText(source);
      } finally {
        await source?.close?.();
      }
    },
    close: () => closeAll(opened.splice(0)),
  };
}
