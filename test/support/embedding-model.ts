import { planVariables, type ParamPlan } from '@lapidary/gemma';
import type { Gpu } from '@lapidary/gpu';
import { variableFrom } from '@lapidary/tensor';
import { openModel } from '@lapidary/trainer';
import { embeddingGemmaWeightLoader, type ModelLocation } from '@lapidary/weights';
import type { FixtureTensor } from './safetensors-fixture.js';

/** An EmbeddingGemma from its files, on the device in f32. */
export async function loadEmbedding(gpu: Gpu, from: ModelLocation) {
  const { weights, model, tokenizer } = await openModel(embeddingGemmaWeightLoader({ from }));
  const plans = new Map<string, ParamPlan>(
    model.params.map(({ path, shape }) => [path, { shape, dtype: 'f32', category: 'trainable' }]),
  );
  const variables = planVariables(plans);
  for (const variable of variables.values()) variable.allocate(gpu);
  await weights.load(plans, {
    write: (path, offset, bytes) => variables.get(path)!.write(bytes, offset),
  });
  await weights.close();
  return { model, tokenizer, variables };
}

/** Encoded texts as a model takes them: every token of a row in one block, padding in segment 0. `mask` is 1 for tokens. */
export function fixtureBatch(gpu: Gpu, ids: FixtureTensor, mask: FixtureTensor) {
  const [batch, tokens] = ids.shape as [number, number];
  const i32 = (data: ArrayLike<number>, shape: readonly number[]) =>
    variableFrom(gpu, Int32Array.from(data), shape, { dtype: 'i32' }).tensor;
  const lengths = Array.from({ length: batch }, (_, row) => {
    const real = Array.from(mask.data).slice(row * tokens, (row + 1) * tokens);
    return real.reduce((a, b) => a + b, 0);
  });
  const info = Array.from(mask.data).flatMap((real, i) => [real, 0, i % tokens, 0]);
  const weights = Float32Array.from(mask.data, (real, i) => real / lengths[Math.floor(i / tokens)]!);
  return {
    inputs: { inputIds: i32(ids.data, [batch, tokens]), tokenInfo: i32(info, [batch, tokens, 4]) },
    tokenWeights: variableFrom(gpu, weights, [batch, tokens]).tensor,
  };
}
