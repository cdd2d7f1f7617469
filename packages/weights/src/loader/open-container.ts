import { parseJson, type WeightFormat } from '@lapidary/gemma/model';
import type { StoredTensor } from '../container.js';
import { WeightFileError, WeightNamesError, WeightSourceError } from '../errors.js';
import { firstGgufPart, isGgufPart, openGgufParts } from '../gguf/open-split.js';
import { openNpz } from '../npz/open.js';
import { openSafetensors } from '../safetensors/read.js';
import type { ByteSource } from '../source/byte-source.js';
import type { ModelSource } from '../source/model-source.js';
import { refusePrequantised } from './prequantised.js';

/** All tensors of a model and the description that comes with them. */
export interface Container {
  readonly format: WeightFormat;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** config.json, or the metadata of the GGUF; an npz has none. */
  readonly metadata: Readonly<Record<string, unknown>>;
  /** generation_config.json, which says how texts are made; undefined where there is none. */
  readonly generation?: Readonly<Record<string, unknown>>;
}

const singleFile = 'model.safetensors';
const indexFile = 'model.safetensors.index.json';
export const generationFile = 'generation_config.json';

/** Finds a model's weights among its files and reads their headers. `tell` is told of weights that are not read. */
export async function openContainer(
  model: ModelSource,
  tell: (notice: string) => void,
  signal?: AbortSignal,
): Promise<Container> {
  const main = model.main ?? chooseSingleFile(model);
  if (main !== undefined && /\.gguf$/i.test(main)) {
    return { format: 'gguf', ...(await openGgufParts(main, (file) => mustOpen(model, file), signal)) };
  }
  if (main !== undefined && /\.npz$/i.test(main)) {
    return { format: 'npz', metadata: {}, ...(await openNpz(await mustOpen(model, main), signal)) };
  }
  if (main !== undefined && !/\.safetensors$/i.test(main)) {
    throw new WeightSourceError(model.name, `${main} is no .safetensors, .gguf or .npz file.`);
  }
  const config = await readJson(model, 'config.json');
  if (config === undefined) {
    if (model.files?.includes('adapter_config.json'))
      throw new WeightSourceError(
        model.name,
        'holds an adapter (adapter_config.json), not a model: name its base model.',
      );
    throw new WeightSourceError(
      model.name,
      'there is no config.json beside the weights; it says which model they are of.',
    );
  }
  const weights = config['transformers_weights'];
  if (main === undefined && weights !== undefined && weights !== null) {
    throw new WeightSourceError(
      model.name,
      `config.json says that the weights are in ${JSON.stringify(weights)} (transformers_weights): name that file.`,
    );
  }
  const tensors = await openSafetensorsFiles(model, main, tell, signal);
  refusePrequantised(config, tensors, model.name);
  const generation = await readJson(model, generationFile);
  return { format: 'safetensors', tensors, metadata: config, ...(generation && { generation }) };
}

/** The tensors of folders that have weights of their own, each after the name of its folder: `2_Dense/linear.weight`. */
export async function openFolders(
  model: ModelSource,
  folders: readonly string[],
  signal?: AbortSignal,
): Promise<ReadonlyMap<string, StoredTensor>> {
  const tensors = new Map<string, StoredTensor>();
  for (const folder of folders) {
    const file = await openSafetensors(await mustOpen(model, `${folder}/${singleFile}`), signal);
    for (const [name, tensor] of file.tensors)
      tensors.set(`${folder}/${name}`, { ...tensor, name: `${folder}/${name}` });
  }
  return tensors;
}

/** The only GGUF or npz where there are no safetensors. */
function chooseSingleFile(model: ModelSource): string | undefined {
  const files = model.files;
  if (files === undefined || files.some((file) => /\.safetensors(\.index\.json)?$/.test(file))) return undefined;
  const weights = files.filter((file) => /\.(gguf|npz)$/i.test(file) && !/mmproj/i.test(file));
  // All parts of a split model are one.
  const found = [...new Set(weights.map((file) => (isGgufPart(file) ? firstGgufPart(file) : file)))];
  if (found.length > 1)
    throw new WeightSourceError(model.name, `holds several GGUF or npz files, name one: ${found.join(', ')}.`);
  return found[0];
}

/** A shard by its name: its number, and how many there are. */
const shardPattern = /-(\d+)-of-(\d+)\.safetensors$/;
const isShard = (file: string) => Number(shardPattern.exec(file)?.[2] ?? 1) > 1;

type Tensors = ReadonlyMap<string, StoredTensor>;

/**
 * The file that is named, or all that it is a shard of; else, as transformers chooses, model.safetensors, or what the index lists. A
 * folder may also hold one file of another name.
 */
async function openSafetensorsFiles(
  model: ModelSource,
  main: string | undefined,
  tell: (notice: string) => void,
  signal?: AbortSignal,
): Promise<Tensors> {
  if (main !== undefined && !isShard(main)) return (await openSafetensors(await mustOpen(model, main), signal)).tensors;
  const single = main === undefined ? await model.open(singleFile) : undefined;
  if (single !== undefined) {
    if (model.files?.includes(indexFile))
      tell(
        `${model.name}: ${singleFile} is read, as by transformers, not the shards that ${indexFile} beside it lists.`,
      );
    return (await openSafetensors(single, signal)).tensors;
  }
  const index = await readJson(model, indexFile);
  if (index !== undefined) return openShards(model, index, main, signal);
  const file = main ?? onlySafetensors(model) ?? singleFile;
  if (isShard(file)) {
    throw new WeightSourceError(
      model.name,
      `${file} is one of several shards, but there is no ${indexFile}, which lists them.`,
    );
  }
  return (await openSafetensors(await mustOpen(model, file), signal)).tensors;
}

/** All shards of an index, which must list what they hold and hold what it lists. */
async function openShards(
  model: ModelSource,
  index: Readonly<Record<string, unknown>>,
  main: string | undefined,
  signal?: AbortSignal,
): Promise<Tensors> {
  const map = index['weight_map'];
  const entries = typeof map === 'object' && map !== null ? Object.entries(map) : [];
  if (entries.length === 0 || !entries.every(([, file]) => typeof file === 'string' && /^[\w.-]+$/.test(file))) {
    throw new WeightFileError({ file: indexFile }, 'its weight_map does not name a file for each tensor.');
  }
  const files = [...new Set(entries.map(([, name]) => name as string))].sort();
  if (main !== undefined && !files.includes(main)) {
    throw new WeightSourceError(model.name, `${main} is none of the shards that ${indexFile} beside it lists.`);
  }
  const missing = files.filter((file) => model.files?.includes(file) === false);
  if (missing.length > 0) {
    const listed = missing.slice(0, 10).join(', ');
    throw new WeightSourceError(
      model.name,
      `there is no ${listed}: ${missing.length} of ${files.length} shards that ${indexFile} lists are missing.`,
    );
  }
  const tensors = new Map<string, StoredTensor>();
  for (const file of files) {
    for (const [name, tensor] of (await openSafetensors(await mustOpen(model, file), signal)).tensors) {
      const listed = Object.hasOwn(map as object, name) ? (map as Record<string, string>)[name] : undefined;
      if (listed !== file) {
        throw new WeightNamesError(file, `holds ${name}, which ${indexFile} places in ${listed ?? 'no file'}.`, {
          unexpected: [name],
        });
      }
      tensors.set(name, tensor);
    }
  }
  const absent = entries.map(([name]) => name).filter((name) => !tensors.has(name));
  if (absent.length > 0) {
    throw new WeightNamesError(indexFile, `names ${absent.slice(0, 10).join(', ')}, which the files do not hold.`, {
      missing: absent,
    });
  }
  return tensors;
}

function onlySafetensors(model: ModelSource): string | undefined {
  const found = model.files?.filter((file) => file.endsWith('.safetensors')) ?? [];
  return found.length === 1 ? found[0] : undefined;
}

async function mustOpen(model: ModelSource, file: string): Promise<ByteSource> {
  const source = await model.open(file);
  if (source !== undefined) return source;
  if (isGgufPart(file))
    throw new WeightSourceError(model.name, `there is no ${file}: the model is split, and all parts are needed.`);
  throw new WeightSourceError(model.name, `there is no ${file}.${file === singleFile ? hintOf(model.files) : ''}`);
}

/** What to do where there is no model.safetensors, by the files that there are. */
function hintOf(files: readonly string[] | undefined): string {
  if (files === undefined) return ' A GGUF on a hub is named with its file: owner/name/file.gguf.';
  const several = files.filter((file) => file.endsWith('.safetensors'));
  if (several.length > 0) return ` There are several .safetensors files, name one: ${several.slice(0, 10).join(', ')}.`;
  const pickled = files.find((file) => /^(pytorch_|consolidated|model|gemma).*\.(bin|pt|pth|ckpt)$/.test(file));
  return pickled === undefined
    ? ''
    : ` ${pickled} holds Python’s objects and is not read: save the model as safetensors (save_pretrained).`;
}

/** What a JSON file holds; undefined where there is none. @throws {WeightFileError} for what is no JSON */
export async function readJsonValue(model: ModelSource, file: string): Promise<unknown> {
  const text = await model.readText(file);
  if (text === undefined) return undefined;
  try {
    return parseJson(text);
  } catch (error) {
    throw new WeightFileError(
      { file: `${model.name}, ${file}` },
      `is not valid JSON: ${(error as Error).message.slice(0, 120)}.`,
    );
  }
}

/** @throws {WeightFileError} when the file is there and no JSON object. */
export async function readJson(model: ModelSource, file: string): Promise<Record<string, unknown> | undefined> {
  const value = await readJsonValue(model, file);
  if (value === undefined) return undefined;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new WeightFileError({ file: `${model.name}, ${file}` }, 'is not a JSON object.');
  }
  return value as Record<string, unknown>;
}
