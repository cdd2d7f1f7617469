import { parseJson, type WeightFormat } from '@lapidary/gemma/model';
import type { StoredTensor } from '../container.js';
import { WeightFileError, WeightNamesError, WeightSourceError } from '../errors.js';
import { openGguf } from '../gguf/read.js';
import { openNpz } from '../npz/read.js';
import { openSafetensors } from '../safetensors/read.js';
import type { ByteSource } from '../source/byte-source.js';
import type { ModelSource } from '../source/model-source.js';

/** All tensors of a model and the description that comes with them. */
export interface Container {
  readonly format: WeightFormat;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** config.json, or the metadata of the GGUF; an npz has none. */
  readonly metadata: Readonly<Record<string, unknown>>;
}

const indexFile = 'model.safetensors.index.json';

/** Finds a model's weights among its files and reads their headers. */
export async function openContainer(model: ModelSource, signal?: AbortSignal): Promise<Container> {
  const main = model.main ?? chooseSingleFile(model);
  if (main !== undefined && /\.gguf$/i.test(main)) {
    return { format: 'gguf', ...(await openGguf(await mustOpen(model, main), signal)) };
  }
  if (main !== undefined && /\.npz$/i.test(main)) {
    return { format: 'npz', metadata: {}, ...(await openNpz(await mustOpen(model, main), signal)) };
  }
  if (main !== undefined && !/\.safetensors$/i.test(main)) {
    throw new WeightSourceError(model.name, `${main} is no .safetensors, .gguf or .npz file.`);
  }
  const config = await readJson(model, 'config.json');
  if (config === undefined) {
    throw new WeightSourceError(
      model.name,
      'there is no config.json beside the weights; it says which model they are of.',
    );
  }
  return { format: 'safetensors', tensors: await openShards(model, main, signal), metadata: config };
}

/** The only GGUF or npz where there are no safetensors. */
function chooseSingleFile(model: ModelSource): string | undefined {
  const files = model.files;
  if (files === undefined || files.some((file) => /\.safetensors(\.index\.json)?$/.test(file))) return undefined;
  const found = files.filter((file) => /\.(gguf|npz)$/i.test(file) && !/mmproj/i.test(file));
  if (found.length > 1)
    throw new WeightSourceError(model.name, `holds several GGUF or npz files, name one: ${found.join(', ')}.`);
  return found[0];
}

async function openShards(model: ModelSource, main: string | undefined, signal?: AbortSignal) {
  const index = main === undefined || main.includes('-of-') ? await readJson(model, indexFile) : undefined;
  if (index === undefined) {
    const single = main ?? onlySafetensors(model) ?? 'model.safetensors';
    return (await openSafetensors(await mustOpen(model, single), signal)).tensors;
  }
  const map = index['weight_map'];
  const entries = typeof map === 'object' && map !== null ? Object.entries(map) : [];
  if (entries.length === 0 || !entries.every(([, file]) => typeof file === 'string' && /^[\w.-]+$/.test(file))) {
    throw new WeightFileError({ file: indexFile }, 'its weight_map does not name a file for each tensor.');
  }
  const tensors = new Map<string, StoredTensor>();
  for (const file of [...new Set(entries.map(([, name]) => name as string))].sort()) {
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
  if (found.includes('model.safetensors')) return 'model.safetensors';
  return found.length === 1 ? found[0] : undefined;
}

async function mustOpen(model: ModelSource, file: string): Promise<ByteSource> {
  const source = await model.open(file);
  if (source !== undefined) return source;
  const hint = file === 'model.safetensors' ? ' A GGUF on a hub is named with its file: owner/name/file.gguf.' : '';
  throw new WeightSourceError(model.name, `there is no ${file}.${hint}`);
}

/** @throws {WeightFileError} when the file is there and no JSON object. */
export async function readJson(model: ModelSource, file: string): Promise<Record<string, unknown> | undefined> {
  const text = await model.readText(file);
  if (text === undefined) return undefined;
  let value: unknown;
  try {
    value = parseJson(text);
  } catch (error) {
    throw new WeightFileError(
      { file: `${model.name}, ${file}` },
      `is not valid JSON: ${(error as Error).message.slice(0, 120)}.`,
    );
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new WeightFileError({ file: `${model.name}, ${file}` }, 'is not a JSON object.');
  }
  return value as Record<string, unknown>;
}
