import type { ByteSource } from './byte-source.js';
import { WeightSourceError } from '../errors.js';
import { closeAll } from './close-all.js';
import { type HubOptions, isHubId, openHubPlace } from './hub.js';
import { withNoticesOnce } from './notices.js';

/** The files of a data set on a hub. */
export interface HubDataset {
  /** `hf:owner/name` */
  readonly name: string;
  /** Names of all its files, with `/` between folders. */
  readonly files: readonly string[];
  /** One of them. @throws {WeightSourceError} */
  open(file: string): Promise<ByteSource>;
  close(): Promise<void>;
}

/**
 * A data set on a Hugging Face hub; undefined where there is none, or none of that revision. In Node, files are downloaded once and kept;
 * in a browser they are read by ranges, and what was read is kept.
 * @param id `owner/name`
 * @throws {WeightSourceError}
 */
export async function openHubDataset(id: string, options: HubOptions = {}): Promise<HubDataset | undefined> {
  const name = `hf:${id}`;
  if (!isHubId(id)) throw new WeightSourceError(name, 'is no hub id of the form owner/name.');
  const { files, open } = await openHubPlace(`datasets/${id}`, withNoticesOnce(options));
  if (files === undefined) return undefined;
  const opened: ByteSource[] = [];
  return {
    name,
    files,
    async open(file) {
      const source = await open(file);
      if (source === undefined) throw new WeightSourceError(`${name}/${file}`, 'is no longer on the hub.');
      opened.push(source);
      // Its path on this machine, where it has one, is nothing that rows may start from.
      return { ...source, name: `${name}/${file}` };
    },
    close: () => closeAll(opened.splice(0)),
  };
}
