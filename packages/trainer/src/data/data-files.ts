import { hubIdOf, openHubDataset, type ByteSource, type HubOptions } from '@lapidary/weights';
import { DatasetError } from './errors.js';
import { isRowsFile } from './read-rows.js';
import { listSplits, type Split } from './splits.js';

/** What is read of data that has several parts. */
export interface DataChoice {
  readonly split?: string | undefined;
  readonly config?: string | undefined;
  readonly revision?: string | undefined;
}

/** Files of rows that lie together. */
export interface OpenDataFiles {
  /** The folder or data set, for messages. */
  readonly name: string;
  readonly splits: readonly Split[];
  open(file: string): Promise<ByteSource>;
  close?(): Promise<void>;
}

/** Data that lies elsewhere. */
export interface DataFiles {
  /** What a run's record calls it. */
  readonly description: string;
  open(choice: DataChoice): Promise<OpenDataFiles>;
}

/** `owner/name` of what names a data set of the hub: `hf:owner/name`, or the address of its page; undefined for anything else. */
export function hubDatasetOf(text: string): string | undefined {
  const [, id] = /^(?:hf:|https:\/\/huggingface\.co\/datasets\/)([\w-][\w.-]*\/[\w-][\w.-]*)\/?$/.exec(text) ?? [];
  return id;
}

/** `owner/name` of a text that is no path of a file of rows, and may be a data set of the hub. */
export const mayBeHubDataset = (text: string): boolean =>
  /^[^./\\~]/.test(text) && hubIdOf(text) === text && !isRowsFile(text);

/** The branch in which the hub keeps every data set as Parquet: `config/split/0000.parquet`. */
const converted = 'refs/convert/parquet';

/**
 * A data set of the hub: the Parquet files that the hub makes of each; where there are none, or a revision is named, its own files.
 * @param id `owner/name`
 */
export function hubDataset(id: string, options: Omit<HubOptions, 'revision'> = {}): DataFiles {
  return {
    description: `hf:${id}`,
    async open({ config, revision }) {
      const made = revision === undefined ? await openHubDataset(id, { ...options, revision: converted }) : undefined;
      if (made !== undefined) {
        const configs = configsOf(made.files);
        return { ...made, splits: splitsOfConfig(configs, config, made.name) };
      }
      const own = await openHubDataset(id, { ...options, ...(revision !== undefined && { revision }) });
      if (own === undefined)
        throw new DatasetError({
          file: `hf:${id}`,
          message: `there is no such data set on the hub${revision === undefined ? '' : `, or none of the revision ${revision}`}; nor is there a file or folder of this name`,
        });
      const files = config === undefined ? own.files : own.files.filter((file) => file.split('/').includes(config));
      return { ...own, splits: listSplits(files, own.name) };
    },
  };
}

/** Splits with their files, by config. */
type Configs = ReadonlyMap<string, ReadonlyMap<string, readonly string[]>>;

function configsOf(files: readonly string[]): Configs {
  const configs = new Map<string, Map<string, string[]>>();
  for (const file of [...files].sort()) {
    const [, config, split] = /^([^/]+)\/([^/]+)\/[^/]+\.parquet$/.exec(file) ?? [];
    if (config === undefined || split === undefined) continue;
    const splits = configs.get(config) ?? new Map<string, string[]>();
    configs.set(config, splits.set(split, [...(splits.get(split) ?? []), file]));
  }
  return configs;
}

function splitsOfConfig(configs: Configs, wanted: string | undefined, name: string): Split[] {
  const [only] = configs.keys();
  const config = wanted ?? (configs.size === 1 ? only : 'default');
  const splits = config === undefined ? undefined : configs.get(config);
  if (splits === undefined) {
    const names = [...configs.keys()].slice(0, 30).join(', ');
    throw new DatasetError({
      file: name,
      message: `${wanted === undefined ? 'this data set has several configs' : `there is no config '${wanted}'`}: name one of ${names} (\`data.config\`)`,
    });
  }
  // Of more than 5 GB the hub converts the first part only, and says so.
  return [...splits].map(([split, files]) => ({
    name: split.replace(/^partial-/, ''),
    files,
    ...(split.startsWith('partial-') && { isPartial: true }),
  }));
}
