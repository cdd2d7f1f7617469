import type { HfConfig, Model } from '@lapidary/gemma';
import { isQuantised } from '@lapidary/kernels/dtype';
import type { StoredTensor } from '../container.js';
import { dtypeOf } from '../dtype/names.js';
import { WeightDTypeError, WeightFileError, WeightNamesError, WeightShapeError } from '../errors.js';
import { listWithNearest } from '../loader/nearest.js';
import { encodeSafetensors, type TensorData } from '../safetensors/write.js';
import { layoutOf, placesOf } from './places.js';

/** The checkpoint that a model came from, where the export is to have its form. */
export interface ExportBase {
  /** Its config.json. */
  readonly config: HfConfig;
  /** Tensors of its other parts, written as they are; see `OpenedWeights.passedOn`. */
  readonly passedOn?: readonly StoredTensor[];
}

/** Parameters under the names Hugging Face has for them. @throws what `hfModelFiles` does */
function hfTensors(
  model: Model,
  params: ReadonlyMap<string, TensorData>,
  base: ExportBase | undefined,
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
  return tensors;
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
function commonDType(params: ReadonlyMap<string, TensorData>): 'float32' | 'float16' | 'bfloat16' {
  const dtypes = new Set([...params.values()].map(({ dtype }) => dtype));
  if (dtypes.size > 1) return 'float32';
  return dtypes.has('bf16') ? 'bfloat16' : dtypes.has('f16') ? 'float16' : 'float32';
}

/**
 * The model as Hugging Face has it: `config.json`, and `model.safetensors` in pieces, whose tensors are asked for their bytes one
 * after the other. Parameters may be of different types (f32, f16, bf16). In the form of `base`, if that is given: a text model that is part
 * of a multimodal checkpoint stays one.
 * @throws WeightFileError where the model has no such form, WeightNamesError, WeightShapeError, WeightDTypeError, before anything is read;
 * RangeError for a quantised tensor, when the pieces are asked for
 */
export function hfModelFiles(
  model: Model,
  params: ReadonlyMap<string, TensorData>,
  base?: ExportBase,
): { 'config.json': Uint8Array; 'model.safetensors': AsyncIterable<Uint8Array> } {
  const dtype = commonDType(params);
  // Both spellings: `dtype` is transformers 5, `torch_dtype` before.
  const json = { ...model.toHf(base?.config), torch_dtype: dtype, dtype };
  return {
    'config.json': new TextEncoder().encode(`${JSON.stringify(json, null, 2)}\n`),
    'model.safetensors': encodeSafetensors(hfTensors(model, params, base), { format: 'pt' }),
  };
}
