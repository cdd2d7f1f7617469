import { openRunFiles } from '#run-files';
import {
  blobSource,
  bufferSource,
  fetchBytes,
  httpSource,
  WeightSourceError,
  type ByteSource,
} from '@lapidary/weights';
import type { DataOptions, DataSource } from '../../data/data-options.js';
import { hubDataset, hubDatasetOf, mayBeHubDataset, type OpenDataFiles } from '../../data/data-files.js';
import { largestText } from '../../data/decode-text.js';
import { DatasetError } from '../../data/errors.js';

/** What `source` of a config's data names, with its parts. @throws DatasetError, WeightSourceError */
export async function openFiles(
  source: Exclude<DataSource, readonly object[]>,
  options: Pick<DataOptions, 'split' | 'config' | 'revision'>,
): Promise<OpenDataFiles> {
  if (source instanceof Blob) {
    const { name = 'data' } = source as { name?: string };
    return oneFile(name, async () => blobSource(source, name), options);
  }
  if (typeof source !== 'string') return source.open(options);
  const dataset = hubDatasetOf(source);
  if (dataset !== undefined) return hubDataset(dataset).open(options);
  if (/^https?:\/\//.test(source)) return oneFile(source, () => openUrl(source), options);
  const local = await openRunFiles(source);
  if (local !== undefined) {
    refuse(options, ['config', 'revision'], source, 'which only data sets of the hub have');
    if (!local.isFolder) refuse(options, ['split'], source, 'but this is one file');
    return local;
  }
  if (mayBeHubDataset(source)) return hubDataset(source).open(options);
  throw new DatasetError({ file: source, message: 'there is no such file or folder' });
}

function oneFile(
  name: string,
  open: () => Promise<ByteSource>,
  options: Parameters<typeof openFiles>[1],
): OpenDataFiles {
  refuse(options, ['split', 'config', 'revision'], name, 'but this is one file');
  return { name, splits: [{ name: 'train', files: [name] }], open };
}

/** Of what is given, all is used. */
function refuse(
  options: Parameters<typeof openFiles>[1],
  fields: readonly ('split' | 'config' | 'revision')[],
  file: string,
  why: string,
): void {
  const given = fields.find((field) => options[field] !== undefined);
  if (given !== undefined)
    throw new DatasetError({ file, message: `\`data.${given}\` is '${options[given]}', ${why}. Leave it out.` });
}

/** By ranges, or whole from a server that knows none. */
async function openUrl(url: string): Promise<ByteSource> {
  try {
    return { ...(await httpSource(url)), name: url };
  } catch (error) {
    if (!(error instanceof WeightSourceError) || error.status === 404) throw error;
    const bytes = await fetchBytes(url, {}, largestText);
    if (bytes === undefined) throw error;
    return bufferSource(url, bytes);
  }
}
