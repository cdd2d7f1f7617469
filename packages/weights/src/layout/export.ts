import type { HfConfig, HfFiles, Model } from '@lapidary/gemma';
import { type DType, isQuantised } from '@lapidary/kernels/dtype';
import type { StoredTensor } from '../container.js';
import { castTensor } from '../dtype/cast-tensor.js';
import { tensorBytes } from '../dtype/dequantise.js';
import { dtypeOf } from '../dtype/names.js';
import { WeightDTypeError, WeightFileError, WeightNamesError, WeightShapeError } from '../errors.js';
import { listWithNearest } from '../loader/nearest.js';
import { encodeSafetensors, type TensorData } from '../safetensors/write.js';
import { layoutOf, placesOf } from './places.js';

/** The checkpoint that a model came from, where the export is to have its form. */
export interface ExportBase {
  /** Its config.json. */
  readonly config: HfConfig;
  /** Its further JSON files; see `OpenedWeights.files`. Default: what the model itself would say. */
  readonly files?: HfFiles | undefined;
  /** Tensors of its other parts, written as they are; see `OpenedWeights.passedOn`. */
  readonly passedOn?: readonly StoredTensor[];
}

/** Which form an export has. */
export interface HfFolderOptions {
  readonly base?: ExportBase | undefined;
  /** Type of every tensor, those that are passed on included. Default: as given. */
  readonly dtype?: 'f32' | 'f16' | 'bf16' | undefined;
  /** Most bytes of tensors in one file; a tensor that is larger has a file of its own. Default: one file for all. */
  readonly shardBytes?: number | undefined;
}

/** Parameters under the names Hugging Face has for them. @throws what `hfModelFolder` does */
function hfTensors(
  model: Model,
  params: ReadonlyMap<string, TensorData>,
  { base, dtype }: HfFolderOptions,
): Map<string, TensorData> {
  const layout = layoutOf(model, 'safetensors', 'export');
  const specs = new Set(model.params.map(({ path }) => path));
  const missing = [...specs].filter((path) => !params.has(path));
  const unexpected = [...params.keys()].filter((path) => !specs.has(path));
  if (missing.length + unexpected.length > 0) {
    const list = (names: string[], others: string[]) =>
      names.length === 0 ? '' : `\n${listWithNearest(names, others)}`;
    throw new WeightNamesError(
      'export',
      `${missing.length} parameters are missing${list(missing, unexpected)}\n${unexpected.length} are not the model's${list(unexpected, missing)}`,
      { missing, unexpected },
    );
  }
  const tensors = new Map<string, TensorData>();
  for (const spec of model.params) {
    const { path, shape } = spec;
    const param = params.get(path) as TensorData;
    const [place] = placesOf(layout, spec);
    if (place === undefined || place.offset !== 0 || place.permute !== undefined || place.at.length > 0)
      throw new WeightFileError({ file: 'export', tensor: path }, 'the layout cannot be written: it changes values.');
    const fullName = layout.exportName(place.name, base?.config);
    if (param.shape.join() !== shape.join()) {
      throw new WeightShapeError({ path, expected: shape, found: param.shape, file: 'export', tensor: fullName });
    }
    tensors.set(fullName, param);
  }
  for (const stored of base?.passedOn ?? []) tensors.set(stored.name, storedData(stored));
  if (dtype === undefined) return tensors;
  return new Map([...tensors].map(([name, tensor]) => [name, castTensor(name, tensor, dtype)]));
}

/** Bytes that are in memory at once. */
const pieceBytes = 8 * 2 ** 20;

/** A tensor of another file, as it is. @throws WeightDTypeError */
function storedData({ name, type, shape, source, offset, byteLength }: StoredTensor): TensorData {
  const dtype = dtypeOf(type);
  if (dtype === undefined || isQuantised(dtype))
    throw new WeightDTypeError(
      { file: source.name, tensor: name, dtype: type },
      `is stored as ${type}, which an export cannot pass on.`,
    );
  async function* bytes(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < byteLength; at += pieceBytes)
      yield await source.read(offset + at, Math.min(pieceBytes, byteLength - at));
  }
  return { dtype, shape, bytes };
}

/** What transformers is told to load an exported model as: the parameters' own type, or f32 where they have several. */
function commonDType(types: readonly DType[]): 'float32' | 'float16' | 'bfloat16' {
  const dtypes = new Set(types);
  if (dtypes.size > 1) return 'float32';
  return dtypes.has('bf16') ? 'bfloat16' : dtypes.has('f16') ? 'float16' : 'float32';
}

/** Files of a model by name; those of its weights are in pieces, whose tensors are asked for their bytes one after the other. */
export type HfFolder = Readonly<Record<string, Uint8Array | AsyncIterable<Uint8Array>>>;

/** Files of a model with all its weights in one file (and one in each folder that has weights of its own). */
export type HfModelFiles = HfFolder & {
  readonly 'config.json': Uint8Array;
  readonly 'model.safetensors': AsyncIterable<Uint8Array>;
};

/**
 * The model as Hugging Face has it: `config.json`, and `model.safetensors`, or several with an index. Parameters may be of different types
 * (f32, f16, bf16). In the form of `base`, if that is given: a text model that is part of a multimodal checkpoint stays one.
 * @throws WeightFileError where the model has no such form, WeightNamesError, WeightShapeError, WeightDTypeError, before anything is read;
 * RangeError for a quantised tensor, when the pieces are asked for
 */
export function hfModelFolder(
  model: Model,
  params: ReadonlyMap<string, TensorData>,
  options: HfFolderOptions = {},
): HfFolder {
  const { shardBytes = Number.POSITIVE_INFINITY } = options;
  return {
    'config.json': configFile(model, params, options),
    ...furtherFiles(model, options),
    ...weightFiles(hfTensors(model, params, options), layoutOf(model, 'safetensors', 'export').folders, shardBytes),
  };
}

/** As `hfModelFolder`, without shards. @throws what `hfModelFolder` does */
export function hfModelFiles(model: Model, params: ReadonlyMap<string, TensorData>, base?: ExportBase): HfModelFiles {
  // One file for all is what it gives then.
  return hfModelFolder(model, params, { base }) as HfModelFiles;
}

/** JSON files beside config.json: those of the base, or what the model itself would say. */
function furtherFiles(model: Model, { base }: HfFolderOptions): HfFolder {
  const files = model.hfFiles?.(base?.files) ?? {};
  return Object.fromEntries(Object.entries(files).map(([name, json]) => [name, jsonBytes(json)]));
}

function configFile(
  model: Model,
  params: ReadonlyMap<string, TensorData>,
  { base, dtype: wanted }: HfFolderOptions,
): Uint8Array {
  const dtype = commonDType([...params.values()].map((param) => wanted ?? param.dtype));
  // Both spellings: `dtype` is transformers 5, `torch_dtype` before.
  return jsonBytes({ ...model.toHf(base?.config), torch_dtype: dtype, dtype }, (text) =>
    text.replace(wholeFloats, '$1.0'),
  );
}

/** Fields that transformers 5 takes no integer for, of text models and of towers: 30 must be written as 30.0. */
const floatFields = [
  ...['\\w+_softcapping', '\\w+_eps', 'initializer_range', 'initializer_factor'],
  ...['attention_logit_cap', 'attention_invalid_logits_value', 'gradient_clipping', 'residual_weight'],
];
const wholeFloats = new RegExp(`("(?:${floatFields.join('|')})": -?\\d+)(?=,?$)`, 'gm');

/** Readers of PyTorch's ask for it. */
const safetensorsMetadata = { format: 'pt' };

/** Files of weights as transformers names them: one, or several and the index that says which tensor is where; and one a folder. */
function weightFiles(
  all: ReadonlyMap<string, TensorData>,
  folders: readonly string[] = [],
  shardBytes: number,
): HfFolder {
  const inFolder = (name: string) => folders.find((folder) => name.startsWith(`${folder}/`));
  const within = (folder: string | undefined) => [...all].filter(([name]) => inFolder(name) === folder);
  const ofFolder = (folder: string) =>
    within(folder).map(([name, data]) => [name.slice(folder.length + 1), data] as const);
  return {
    ...mainWeightFiles(new Map(within(undefined)), shardBytes),
    ...Object.fromEntries(folders.map((folder) => [`${folder}/model.safetensors`, pieces(new Map(ofFolder(folder)))])),
  };
}

const pieces = (tensors: ReadonlyMap<string, TensorData>) => encodeSafetensors(tensors, safetensorsMetadata);

function mainWeightFiles(tensors: ReadonlyMap<string, TensorData>, shardBytes: number): HfFolder {
  const shards: Map<string, TensorData>[] = [];
  let [held, total] = [0, 0];
  for (const [name, tensor] of tensors) {
    const size = tensorBytes(tensor.dtype, tensor.shape) ?? 0;
    total += size;
    let shard = shards.at(-1);
    if (shard === undefined || held + size > shardBytes) {
      shard = new Map();
      shards.push(shard);
      held = 0;
    }
    shard.set(name, tensor);
    held += size;
  }
  if (shards.length <= 1) return { 'model.safetensors': pieces(tensors) };
  const number = (i: number) => String(i).padStart(5, '0');
  const files = shards.map(
    (shard, i) => [`model-${number(i + 1)}-of-${number(shards.length)}.safetensors`, shard] as const,
  );
  const places = files.flatMap(([file, shard]) => [...shard.keys()].map((name) => [name, file] as const));
  return {
    ...Object.fromEntries(files.map(([file, shard]) => [file, pieces(shard)])),
    'model.safetensors.index.json': jsonBytes({
      metadata: { total_size: total },
      weight_map: Object.fromEntries(places),
    }),
  };
}

const jsonBytes = (json: unknown, changed = (text: string) => text) =>
  new TextEncoder().encode(`${changed(JSON.stringify(json, null, 2))}\n`);
