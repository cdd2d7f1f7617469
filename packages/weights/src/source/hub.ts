import { platform } from '#platform';
import { WeightSourceError } from '../errors.js';
import type { HttpOptions } from './http.js';
import { type ByteSource, readSourceText } from './byte-source.js';
import type { ModelSource } from './model-source.js';

export interface HubOptions extends HttpOptions {
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

/** A model on a Hugging Face hub. In Node, files are downloaded once and kept; in a browser, read by ranges. */
export function hubModel(location: string, options: HubOptions = {}): ModelSource {
  const [, id, main] = idPattern.exec(location) ?? [];
  if (id === undefined) throw new WeightSourceError(location, 'is no hub id of the form owner/name.');
  const { revision = 'main', endpoint = 'https://huggingface.co', token, ...http } = options;
  const base = endpoint.replace(/\/$/, '');
  const authorised = { ...http, headers: { ...http.headers, ...(token && { Authorization: `Bearer ${token}` }) } };
  const open = (file: string) => {
    const url = `${base}/${id}/resolve/${encodeURIComponent(revision)}/${file.split('/').map(encodeURIComponent).join('/')}`;
    return platform.openHubFile({ endpoint: base, id, revision, file, url }, authorised);
  };
  const opened: ByteSource[] = [];
  return {
    name: location,
    ...(main !== undefined && { main }),
    async open(file) {
      const source = await open(file);
      if (source !== undefined) opened.push(source);
      return source;
    },
    async readText(file) {
      const source = await open(file);
      try {
        return await readSourceText(source);
      } finally {
        await source?.close?.();
      }
    },
    async close() {
      for (const source of opened.splice(0)) await source.close?.();
    },
  };
}
