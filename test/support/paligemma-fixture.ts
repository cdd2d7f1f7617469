import {
  paliGemmaConfigFromHf,
  modelOf,
  planVariables,
  type Model,
  type PaliGemmaConfig,
  type ParamPlan,
} from '@lapidary/gemma';
import type { Gpu } from '@lapidary/gpu';
import { variableFrom, type Variable } from '@lapidary/tensor';
import { hfName } from './gemma-fixture.js';
import { fixtureJson, fixtureTensors, type FixtureTensor } from './safetensors-fixture.js';

/** The name of a parameter in the files of `test/fixtures`, written down again here so that tests do not rest on the loader's tables. */
export function paliGemmaHfName(path: string, config: PaliGemmaConfig): string {
  if (path.startsWith('language.'))
    return hfName(path.slice('language.'.length), config.text).replace('model.', 'language_model.model.');
  const suffixes: Record<string, string> = {
    vision: 'vision_tower',
    patchEmbed: 'embeddings.patch_embedding',
    posEmbed: 'embeddings.position_embedding',
    layers: 'encoder.layers',
    norm1: 'layer_norm1',
    norm2: 'layer_norm2',
    attn: 'self_attn',
    qProj: 'q_proj',
    kProj: 'k_proj',
    vProj: 'v_proj',
    outProj: 'out_proj',
    finalNorm: 'post_layernorm',
    projector: 'multi_modal_projector.linear',
  };
  return path
    .split('.')
    .map((part) => suffixes[part] ?? part)
    .join('.');
}

export interface PaliGemmaFixture {
  readonly config: PaliGemmaConfig;
  readonly model: Model<PaliGemmaConfig>;
  readonly variables: Map<string, Variable>;
  readonly reference: Map<string, FixtureTensor>;
}

/** A tiny checkpoint written by transformers, on the device in f32, with its reference. */
export async function paliGemmaFixture(gpu: Gpu, name: string): Promise<PaliGemmaFixture> {
  const config = paliGemmaConfigFromHf(await fixtureJson<Record<string, unknown>>(`models/${name}/config.json`));
  const weights = await fixtureTensors(`models/${name}/model.safetensors`);
  const plans = new Map<string, ParamPlan>();
  const model = modelOf(config);
  for (const { path, shape } of model.params) plans.set(path, { shape, dtype: 'f32', category: 'trainable' });
  const variables = planVariables(plans);
  for (const [path, variable] of variables)
    variable.allocate(gpu).write(weights.get(paliGemmaHfName(path, config))!.data);
  return { config, model, variables, reference: await fixtureTensors(`models/${name}/reference.safetensors`) };
}

/** Pixels f32 [B, 3, S, S] as patches [B, N, 3·p·p]: rows of patches, each channel, row, column. */
export function patchesOf(pixels: ArrayLike<number>, batch: number, size: number, patch: number): Float32Array {
  const grid = size / patch;
  const patches = new Float32Array(batch * 3 * size * size);
  let at = 0;
  for (let b = 0; b < batch; b++)
    for (let gy = 0; gy < grid; gy++)
      for (let gx = 0; gx < grid; gx++)
        for (let c = 0; c < 3; c++)
          for (let y = 0; y < patch; y++)
            for (let x = 0; x < patch; x++)
              patches[at++] = pixels[((b * 3 + c) * size + gy * patch + y) * size + gx * patch + x]!;
  return patches;
}

/** Records of a batch: the prefix (token type 0) is one block, the suffix causal; padding (mask 0) in segment 0. */
export function prefixInfo(mask: ArrayLike<number>, types: ArrayLike<number>, length: number): Int32Array {
  return Int32Array.from({ length: mask.length * 4 }, (_, i) => {
    const at = (i >> 2) % length;
    return [mask[i >> 2]!, types[i >> 2] === 1 ? at : 0, at, 0][i & 3]!;
  });
}

/** The inputs of a reference's batch on the device. */
export function paliGemmaInputs(
  gpu: Gpu,
  config: PaliGemmaConfig,
  batch: ReadonlyMap<string, FixtureTensor>,
  suffix = '',
) {
  const ids = batch.get(`input_ids${suffix}`)!;
  const [rows, length] = ids.shape as [number, number];
  const { imageSize, patchSize } = config.vision;
  const patches = (imageSize / patchSize) ** 2;
  const isPicture = (_: unknown, i: number) => i % length < patches;
  const mask = batch.get(`attention_mask${suffix}`)!.data;
  const types = batch.get(`token_type_ids${suffix}`)!.data;
  const pixels = batch.get(`pixel_values${suffix}`)!.data;
  return {
    inputIds: Int32Array.from(ids.data, (id, i) => (isPicture(id, i) ? -1 : id)),
    pictureRows: Int32Array.from(ids.data, (id, i) =>
      isPicture(id, i) ? Math.floor(i / length) * patches + (i % length) : -1,
    ),
    tokenInfo: prefixInfo(mask, types, length),
    patches: patchesOf(pixels, rows, imageSize, patchSize),
    rows,
    length,
    count: patches,
    tensors(change: { inputIds?: Int32Array } = {}) {
      const i32 = (data: Int32Array, shape: number[]) => variableFrom(gpu, data, shape, { dtype: 'i32' }).tensor;
      return {
        inputIds: i32(change.inputIds ?? this.inputIds, [rows, length]),
        tokenInfo: i32(this.tokenInfo, [rows, length, 4]),
        pictureRows: i32(this.pictureRows, [rows, length]),
        patches: variableFrom(gpu, this.patches, [rows, patches, 3 * patchSize ** 2]).tensor,
      };
    },
  };
}
