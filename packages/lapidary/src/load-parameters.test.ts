// Adapters of every kind that PEFT writes, against PEFT's own logits (test/fixtures/make_adapters.py).
import { modelOf, type Model, type ModelConfig, type PaliGemmaConfig, type ParamTree } from '@lapidary/gemma';
import { openGpu, type Gpu } from '@lapidary/gpu';
import { evaluate, reshape, variableFrom, type Variable } from '@lapidary/tensor';
import { modelWeightLoader, readPeftAdapter } from '@lapidary/weights';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { adapterSources, modelSources } from '../../../test/support/fixture-sources.js';
import { causalInfo } from '../../../test/support/gemma-fixture.js';
import { patchesOf, prefixInfo } from '../../../test/support/paligemma-fixture.js';
import { relativeError } from '../../../test/support/relative-error.js';
import { fixtureTensors, type FixtureTensor } from '../../../test/support/safetensors-fixture.js';
import { loadParameters } from './load-parameters.js';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterAll(() => gpu.destroy());

/** Row 0 of a model's reference, as its forward pass takes it. */
function inputsOf({ vision, config }: Model, reference: ReadonlyMap<string, FixtureTensor>) {
  const [, length] = reference.get('input_ids')!.shape as [number, number];
  const row = (name: string) => reference.get(name)!.data.slice(0, length);
  const i32 = (data: Int32Array, shape: number[]) => variableFrom(gpu, data, shape, { dtype: 'i32' }).tensor;
  const mask = new Int32Array(length).fill(1);
  const { imageToken, patchesPerImage = 0 } = vision ?? {};
  const ids = Int32Array.from(row('input_ids'));
  const inputIds = i32(
    ids.map((id) => (id === imageToken ? -1 : id)),
    [1, length],
  );
  if (vision === undefined || !reference.has('pixel_values'))
    return { inputIds, tokenInfo: i32(causalInfo(mask, length), [1, length, 4]) };
  const { imageSize, patchSize } = (config as PaliGemmaConfig).vision;
  const pixels = patchesOf(reference.get('pixel_values')!.data, 1, imageSize, patchSize);
  return {
    inputIds,
    tokenInfo: i32(prefixInfo(mask, row('token_type_ids'), length), [1, length, 4]),
    pictureRows: i32(
      ids.map((id, i) => (id === imageToken ? i : -1)),
      [1, length],
    ),
    patches: variableFrom(gpu, pixels, [1, patchesPerImage, vision.patchValues]).tensor,
  };
}

/** Of the base, and with each of these adapters over it. */
async function logitsWith(base: string, names: readonly string[]): Promise<Float32Array[]> {
  const weights = await modelWeightLoader<ModelConfig>({ from: await modelSources(base) }).open();
  const variables = new Map<string, Variable>();
  try {
    const model = modelOf(weights.config);
    const adapters = await Promise.all(
      names.map(async (name) => readPeftAdapter(await adapterSources(`adapters/${name}`), { model })),
    );
    const { base: alone, adapted } = await loadParameters(gpu, weights, variables, { adapters, keepsBase: true });
    const inputs = inputsOf(model, await fixtureTensors(`models/${base}/reference.safetensors`));
    const logitsOf = (params: ParamTree) =>
      model.logits(params, reshape(model.forward(params, inputs).hidden, [-1, model.hiddenSize]));
    return await evaluate(gpu, [alone!, ...adapted].map(logitsOf));
  } finally {
    for (const variable of variables.values()) variable.destroy();
    await weights.close();
  }
}

it.each([
  ['gemma3-tiny', ['patterns', 'patterns-rslora', 'some-layers']],
  ['gemma1-tiny', ['all-linear', 'embedding', 'embedding-head', 'head-tied', 'embedding-head-tied', 'saved-embedding']],
  ['gemma2-tiny', ['dora', 'head', 'embedding-tied', 'norms']],
  ['paligemma1-tiny', ['dora-vision']],
  ['paligemma2-tiny', ['lora-projector', 'embedding-vision']],
  ['gemma3-vlm-tiny', ['vlm', 'vlm-head']],
])('%s has PEFT’s logits with each of these over it at once, and its own: %s', async (base, names) => {
  const [alone, ...adapted] = await logitsWith(base, names);
  const { data: own } = (await fixtureTensors(`models/${base}/reference.safetensors`)).get('logits')!;
  if (base.startsWith('gemma1')) expect(relativeError(alone!, own.slice(0, alone!.length))).toBeLessThan(1e-5);
  for (const [i, name] of names.entries()) {
    const peft = (await fixtureTensors(`adapters/${name}/logits.safetensors`)).get('logits')!;
    expect(adapted[i]).toHaveLength(peft.data.length);
    expect(relativeError(adapted[i]!, peft.data), name).toBeLessThan(1e-5);
    // The adapter does something: without it the logits are others.
    expect(relativeError(alone!, peft.data), name).toBeGreaterThan(1e-2);
  }
});

it.each(['embedding-head', 'embedding'])(
  'without its base by itself, an adapter leaves out what it replaces: %s',
  async (name) => {
    const weights = await modelWeightLoader<ModelConfig>({ from: await modelSources('gemma1-tiny') }).open();
    const model = modelOf(weights.config);
    const adapter = await readPeftAdapter(await adapterSources(`adapters/${name}`), { model });
    const variables = new Map<string, Variable>();
    const { base } = await loadParameters(gpu, weights, variables, { adapters: [adapter] });
    expect(base).toBeUndefined();
    // Where the table was split, the base's is the output projection.
    expect(variables.has(model.embeddingPath)).toBe(name === 'embedding');
    for (const variable of variables.values()) variable.destroy();
    await weights.close();
  },
);
