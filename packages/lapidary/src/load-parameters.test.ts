// Adapters of every kind that PEFT writes, against PEFT's own logits (test/fixtures/make_adapters.py).
import { modelOf, paramTree, type Model, type ModelConfig, type PaliGemmaConfig } from '@lapidary/gemma';
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
  const patches = vision?.tokensPerImage ?? 0;
  const inputIds = i32(Int32Array.from(row('input_ids')).slice(patches), [1, length - patches]);
  if (vision === undefined) return { inputIds, tokenInfo: i32(causalInfo(mask, length), [1, length, 4]) };
  const { imageSize, patchSize } = (config as PaliGemmaConfig).vision;
  const pixels = patchesOf(reference.get('pixel_values')!.data, 1, imageSize, patchSize);
  return {
    inputIds,
    tokenInfo: i32(prefixInfo(mask, row('token_type_ids'), length), [1, length, 4]),
    patches: variableFrom(gpu, pixels, [1, patches, vision.patchValues]).tensor,
  };
}

async function logitsWith(base: string, name: string | undefined): Promise<Float32Array> {
  const weights = await modelWeightLoader<ModelConfig>({ from: await modelSources(base) }).open();
  const variables = new Map<string, Variable>();
  try {
    const model = modelOf(weights.config);
    const from = name === undefined ? undefined : await adapterSources(`adapters/${name}`);
    const adapter = from && (await readPeftAdapter(from, { model }));
    await loadParameters(gpu, weights, variables, { adapter });
    const params = paramTree(variables, adapter?.updates);
    const { hidden } = model.forward(
      params,
      inputsOf(model, await fixtureTensors(`models/${base}/reference.safetensors`)),
    );
    const [logits] = await evaluate(gpu, [model.logits(params, reshape(hidden, [-1, model.hiddenSize]))]);
    return logits!;
  } finally {
    for (const variable of variables.values()) variable.destroy();
    await weights.close();
  }
}

it.each([
  ['patterns', 'gemma3-tiny'],
  ['patterns-rslora', 'gemma3-tiny'],
  ['some-layers', 'gemma3-tiny'],
  ['all-linear', 'gemma1-tiny'],
  ['dora', 'gemma2-tiny'],
  ['dora-vision', 'paligemma1-tiny'],
  ['lora-projector', 'paligemma2-tiny'],
  ['embedding', 'gemma1-tiny'],
  ['head', 'gemma2-tiny'],
  ['embedding-head', 'gemma1-tiny'],
  ['embedding-tied', 'gemma2-tiny'],
  ['head-tied', 'gemma1-tiny'],
  ['embedding-head-tied', 'gemma1-tiny'],
  ['saved-embedding', 'gemma1-tiny'],
  ['norms', 'gemma2-tiny'],
  ['embedding-vision', 'paligemma2-tiny'],
  ['vlm', 'gemma3-vlm-tiny'],
  ['vlm-head', 'gemma3-vlm-tiny'],
])('has PEFT’s logits: %s', async (name, base) => {
  const logits = await logitsWith(base, name);
  const peft = (await fixtureTensors(`adapters/${name}/logits.safetensors`)).get('logits')!;
  expect(logits).toHaveLength(peft.data.length);
  expect(relativeError(logits, peft.data)).toBeLessThan(1e-5);
  // The adapter does something: without it the logits are others.
  expect(relativeError(await logitsWith(base, undefined), peft.data)).toBeGreaterThan(1e-2);
});
