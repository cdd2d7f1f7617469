import type { Model, ModelFamily, ParamTree } from '../family.js';
import { gemmaLogits, gemmaTokenLosses } from '../gemma/forward.js';
import { embeddingPath, gemmaTowers, headPath } from '../gemma/params.js';
import { checkGemma4Config, gemma4Layers, type Gemma4Config } from './config.js';
import { gemma4Hidden } from './forward.js';
import { gemma4ConfigFromGguf, ggufArchitecture } from './gguf.js';
import { gemma4ConfigFromHf, gemma4ConfigToHf, modelTypes } from './hf.js';
import { ggufLayout, huggingFaceLayout } from './layouts.js';
import { gemma4Linears, gemma4ParamSpecs, type Gemma4Params } from './params.js';
import { gemma4Presets } from './presets.js';
import { gemma4Prompt } from './prompt.js';

/** `gemma4ParamSpecs` says what the tree holds: whoever makes one goes by it. */
const paramsOf = (tree: ParamTree) => tree as unknown as Gemma4Params;

/** A model of such blocks that was checked, as a causal language model. */
export function describeGemma4(config: Gemma4Config): Model<Gemma4Config> {
  const { layerTypes, eosTokenIds, ...settings } = config;
  return {
    config,
    name: 'Gemma 4',
    title: `gemma4 with ${config.numLayers} layers`,
    params: gemma4ParamSpecs(config),
    layers: gemma4Layers(config),
    numBlocks: config.numLayers,
    hiddenSize: config.hiddenSize,
    vocabSize: config.vocabSize,
    maxPositionEmbeddings: config.maxPositionEmbeddings,
    eosTokenIds,
    prompt: gemma4Prompt,
    tokenizerFiles: ['tokenizer.model'],
    embeddingPath,
    headPath,
    parts: {},
    layouts: { safetensors: huggingFaceLayout(config), gguf: ggufLayout(config) },
    settings: {
      ...settings,
      globalLayers: layerTypes.filter((type) => type === 'global').length,
      eosTokenIds: eosTokenIds.join(', '),
    },
    forward: (params, inputs, options) => gemma4Hidden(paramsOf(params), config, inputs, options),
    logits: (params, rows) => gemmaLogits(paramsOf(params), config, rows),
    tokenLosses: (params, rows, targets, options) => gemmaTokenLosses(paramsOf(params), config, rows, targets, options),
    toHf: (base) => gemma4ConfigToHf(config, base),
    // Loaded when something is exported: pages that only train never need it.
    toGguf: async () => (await import('./gguf-metadata.js')).gemma4ConfigToGguf(config),
  };
}

/** The text models of Gemma 4: layers of two kinds with inputs of their own, and keys and values that several attend to. */
export const gemma4 = {
  id: 'gemma4',
  presets: gemma4Presets,
  linears: gemma4Linears,
  towers: gemmaTowers,
  hf: { modelTypes, read: gemma4ConfigFromHf },
  gguf: { architectures: [ggufArchitecture], read: gemma4ConfigFromGguf },
  describe: (config) => describeGemma4(checkGemma4Config(config)),
} as const satisfies ModelFamily<Gemma4Config>;
