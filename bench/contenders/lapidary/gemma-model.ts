import {
  gemmaPresets,
  modelOf,
  paramTree,
  planVariables,
  type GemmaConfig,
  type Model,
  type ParamPlan,
  type ParamTree,
} from '@lapidary/gemma';
import type { Gpu } from '@lapidary/gpu';
import type { Variable } from '@lapidary/tensor';
import { gemmaWeights, LORA_SCALE, LORA_SLOTS, loraStart, type GemmaShape } from '../gemma-weights.js';
import { toBf16 } from '../values.js';

export function gemmaConfig(shape: GemmaShape): GemmaConfig {
  return {
    ...gemmaPresets['gemma-3-270m'],
    vocabSize: shape.words,
    hiddenSize: shape.width,
    intermediateSize: shape.inner,
    numLayers: shape.layers,
    numHeads: shape.heads,
    numKvHeads: shape.kvHeads,
    headDim: shape.headDim,
    queryPreAttnScalar: shape.headDim,
    layerTypes: Array.from({ length: shape.layers }, (_, i) =>
      (i + 1) % shape.globalEvery === 0 ? 'global' : 'local',
    ),
  };
}

export interface GemmaModel {
  readonly config: GemmaConfig;
  readonly model: Model<GemmaConfig>;
  readonly variables: ReadonlyMap<string, Variable>;
  readonly params: ParamTree;
}

/** A made-up Gemma on the device: bf16 as published, or f32 where `trained`; with low-rank updates where `rank` is not 0. */
export function makeGemma(gpu: Gpu, shape: GemmaShape, { trained = false, rank = 0 } = {}): GemmaModel {
  const weights = gemmaWeights(shape);
  const plans = new Map<string, ParamPlan>();
  for (const { path, shape: size } of weights)
    plans.set(path, { shape: size, dtype: trained ? 'f32' : 'bf16', category: trained ? 'trainable' : 'weights' });
  const starts = new Map<string, Float32Array>();
  const updates = new Map<string, { readonly scale: number }>();
  if (rank > 0) {
    weights.forEach(({ path, shape: size }, index) => {
      if (!path.startsWith('layers.') || !LORA_SLOTS.some((slot) => slot === (index - 1) % 13)) return;
      const linear = path.replace(/\.weight$/, '');
      plans.set(`${linear}.lora.a`, { shape: [rank, size[1]!], dtype: 'f32', category: 'trainable' });
      plans.set(`${linear}.lora.b`, { shape: [size[0]!, rank], dtype: 'f32', category: 'trainable' });
      updates.set(linear, { scale: LORA_SCALE });
      starts.set(`${linear}.lora.a`, loraStart(rank, size[1]!, index));
    });
  }
  const variables = planVariables(plans);
  for (const variable of variables.values()) variable.allocate(gpu);
  for (const { path, values } of weights) variables.get(path)!.write(trained ? values() : toBf16(values()));
  for (const [path, values] of starts) variables.get(path)!.write(values);
  const config = gemmaConfig(shape);
  return { config, model: modelOf(config), variables, params: paramTree(variables, updates) };
}
