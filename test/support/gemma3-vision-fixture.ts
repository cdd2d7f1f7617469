import {
  gemma3VisionConfigFromHf,
  modelOf,
  placeTokens,
  planVariables,
  type Gemma3VisionConfig,
  type Model,
  type ParamPlan,
} from '@lapidary/gemma';
import type { Gpu } from '@lapidary/gpu';
import { variableFrom, type Variable } from '@lapidary/tensor';
import { hfName } from './gemma-fixture.js';
import { paliGemmaHfName, patchesOf } from './paligemma-fixture.js';
import { fixtureJson, fixtureTensors, type FixtureTensor } from './safetensors-fixture.js';

/** The name of a parameter in the files of `test/fixtures`, written down again here so that tests do not rest on the loader's tables. */
export function gemma3VisionHfName(path: string, { text, ...config }: Gemma3VisionConfig): string {
  if (path === 'projector.weight') return 'multi_modal_projector.mm_input_projection_weight';
  if (path === 'projector.norm.weight') return 'multi_modal_projector.mm_soft_emb_norm.weight';
  if (path.startsWith('vision.'))
    return paliGemmaHfName(path, { vision: config.vision, text, family: 'paligemma', imageTokenId: 0 });
  return hfName(path, text).replace('model.', 'language_model.model.');
}

export interface Gemma3VisionFixture {
  readonly config: Gemma3VisionConfig;
  readonly model: Model<Gemma3VisionConfig>;
  readonly variables: Map<string, Variable>;
  readonly reference: Map<string, FixtureTensor>;
}

/** A tiny checkpoint written by transformers, on the device in f32, with its reference. */
export async function gemma3VisionFixture(gpu: Gpu, name = 'gemma3-vision-tiny'): Promise<Gemma3VisionFixture> {
  const config = gemma3VisionConfigFromHf(await fixtureJson(`models/${name}/config.json`));
  const weights = await fixtureTensors(`models/${name}/model.safetensors`);
  const plans = new Map<string, ParamPlan>();
  const model = modelOf(config);
  for (const { path, shape } of model.params) plans.set(path, { shape, dtype: 'f32', category: 'trainable' });
  const variables = planVariables(plans);
  for (const [path, variable] of variables)
    variable.allocate(gpu).write(weights.get(gemma3VisionHfName(path, config))!.data);
  return { config, model, variables, reference: await fixtureTensors(`models/${name}/reference.safetensors`) };
}

/** The inputs of a reference's batch. */
export function gemma3VisionInputs(
  gpu: Gpu,
  { config, model }: Pick<Gemma3VisionFixture, 'config' | 'model'>,
  batch: ReadonlyMap<string, FixtureTensor>,
  suffix = '',
) {
  const { imageSize, patchSize } = config.vision;
  const ids = batch.get(`input_ids${suffix}`)!;
  const [rows, length] = ids.shape as [number, number];
  const mask = batch.get(`attention_mask${suffix}`)!.data;
  const pixels = batch.get(`pixel_values${suffix}`);
  const pictures = pixels?.shape[0] ?? 0;
  const inputIds = new Int32Array(rows * length);
  const pictureRows = new Int32Array(rows * length).fill(-1);
  const tokenInfo = new Int32Array(rows * length * 4);
  let seen = 0;
  for (let b = 0; b < rows; b++) {
    const placed = placeTokens(ids.data.slice(b * length, (b + 1) * length), model.vision);
    for (let t = 0; t < length; t++) {
      const at = b * length + t;
      inputIds[at] = placed.ids[t]!;
      pictureRows[at] = placed.pictureRows[t]! < 0 ? -1 : seen + placed.pictureRows[t]!;
      tokenInfo.set([mask[at]!, placed.blocks[t]!, t, 0], at * 4);
    }
    seen += placed.pictureRows.filter((row) => row >= 0).length;
  }
  const patches = patchesOf(pixels?.data ?? [], pictures, imageSize, patchSize);
  return {
    rows,
    length,
    pictures,
    inputs: { inputIds, tokenInfo, patches, pictureRows },
    tensors(change: Partial<{ inputIds: Int32Array; patches: Float32Array }> = {}) {
      const given = { inputIds, tokenInfo, patches, pictureRows, ...change };
      const i32 = (data: Int32Array, shape: number[]) => variableFrom(gpu, data, shape, { dtype: 'i32' }).tensor;
      return {
        inputIds: i32(given.inputIds, [rows, length]),
        tokenInfo: i32(given.tokenInfo, [rows, length, 4]),
        pictureRows: i32(given.pictureRows, [rows, length]),
        patches: variableFrom(gpu, given.patches, [pictures, (imageSize / patchSize) ** 2, 3 * patchSize ** 2]).tensor,
      };
    },
  };
}
