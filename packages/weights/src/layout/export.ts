import { type GemmaConfig, gemmaConfigToHf, gemmaParamSpecs } from '@lapidary/gemma';
import type { DType } from '@lapidary/kernels';
import { WeightNamesError, WeightShapeError } from '../errors.js';
import { listWithNearest } from '../loader/nearest.js';
import { safetensorsToBytes, type TensorData } from '../safetensors/write.js';
import { huggingFaceLayout } from './hugging-face.js';
import { nameOf } from './layout.js';

/** Parameters under the names Hugging Face has for them. @throws {WeightNamesError} @throws {WeightShapeError} */
export function hfTensors(config: GemmaConfig, params: ReadonlyMap<string, TensorData>): Map<string, TensorData> {
  const specs = gemmaParamSpecs(config);
  const missing = [...specs.keys()].filter((path) => !params.has(path));
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
  for (const [path, { shape }] of specs) {
    const param = params.get(path) as TensorData;
    const { name } = nameOf(huggingFaceLayout, config.family, path) as { name: string };
    const fullName = huggingFaceLayout.exportPrefix + name;
    if (param.shape.join() !== shape.join()) {
      throw new WeightShapeError({ path, expected: shape, found: param.shape, file: 'export', tensor: fullName });
    }
    tensors.set(fullName, param);
  }
  return tensors;
}

/** config.json of an exported model; `dtype` is what transformers loads it as. */
export function hfConfigFile(config: GemmaConfig, dtype: DType): Uint8Array {
  const name =
    ({ f32: 'float32', f16: 'float16', bf16: 'bfloat16' } as Partial<Record<DType, string>>)[dtype] ?? 'float32';
  // Both spellings: `dtype` is transformers 5, `torch_dtype` before.
  const json = { ...gemmaConfigToHf(config), torch_dtype: name, dtype: name };
  return new TextEncoder().encode(`${JSON.stringify(json, null, 2)}\n`);
}

/** The whole model as Hugging Face has it, in memory. For large models: `writeHfModel` of `@lapidary/weights/node`. */
export async function hfModelFiles(
  config: GemmaConfig,
  params: ReadonlyMap<string, TensorData>,
): Promise<Record<'config.json' | 'model.safetensors', Uint8Array>> {
  const dtype = params.get('embedTokens.weight')?.dtype ?? 'f32';
  return {
    'config.json': hfConfigFile(config, dtype),
    'model.safetensors': await safetensorsToBytes(hfTensors(config, params), { format: 'pt' }),
  };
}
