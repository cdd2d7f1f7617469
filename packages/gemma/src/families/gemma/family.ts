import type { Model, ModelFamily, ParamTree } from '../family.js';
import { checkGemmaConfig, gemmaLayers, type GemmaConfig, type GemmaFamily } from './config.js';
import { gemmaHidden, gemmaLogits, gemmaTokenLosses } from './forward.js';
import { generations } from './generations.js';
import { gemmaConfigFromGguf } from './gguf.js';
import { gemmaConfigFromHf, gemmaConfigToHf } from './hf.js';
import { ggufLayout, huggingFaceLayout } from './layouts.js';
import { embeddingPath, gemmaLinears, gemmaParamSpecs, gemmaTowers, headPath, type GemmaParams } from './params.js';
import { gemma1Presets, gemma2Presets, gemma3Presets } from './presets.js';
import { gemmaPrompt } from './prompt.js';

/** `gemmaParamSpecs` says what the tree holds: whoever makes one goes by it. */
const paramsOf = (tree: ParamTree) => tree as unknown as GemmaParams;

/** The model of a configuration, of any generation. @throws ConfigError naming the field */
export function describeGemma(config: GemmaConfig): Model<GemmaConfig> {
  checkGemmaConfig(config);
  const traits = generations[config.family];
  const { layerTypes, eosTokenIds, ...settings } = config;
  return {
    config,
    name: traits.name,
    title: `${config.family} with ${config.numLayers} layers`,
    params: gemmaParamSpecs(config),
    layers: gemmaLayers(config),
    numBlocks: config.numLayers,
    hiddenSize: config.hiddenSize,
    vocabSize: config.vocabSize,
    maxPositionEmbeddings: config.maxPositionEmbeddings,
    eosTokenIds,
    prompt: gemmaPrompt,
    tokenizerFiles: ['tokenizer.model'],
    embeddingPath,
    headPath,
    parts: {},
    layouts: { safetensors: huggingFaceLayout(traits, config.numLayers), gguf: ggufLayout(traits) },
    settings: {
      ...settings,
      globalLayers: layerTypes.filter((type) => type === 'global').length,
      eosTokenIds: eosTokenIds.join(', '),
    },
    forward: (params, inputs, options) => gemmaHidden(paramsOf(params), config, inputs, options),
    logits: (params, rows) => gemmaLogits(paramsOf(params), config, rows),
    tokenLosses: (params, rows, targets, options) => gemmaTokenLosses(paramsOf(params), config, rows, targets, options),
    toHf: (base) => gemmaConfigToHf(config, base),
    // Loaded when something is exported: pages that only train never need it.
    toGguf: async () => (await import('./gguf-metadata.js')).gemmaConfigToGguf(config),
  };
}

function generation<P extends Readonly<Record<string, GemmaConfig>>>(id: GemmaFamily, presets: P) {
  const { hf, gguf } = generations[id];
  return {
    id,
    presets,
    linears: gemmaLinears,
    towers: gemmaTowers,
    hf: { modelTypes: hf.modelTypes, read: gemmaConfigFromHf },
    gguf: { architectures: [gguf.architecture], read: gemmaConfigFromGguf },
    describe: describeGemma,
  } satisfies ModelFamily<GemmaConfig>;
}

/** Gemma (arXiv:2403.08295). */
export const gemma1 = generation('gemma1', gemma1Presets);
/** Gemma 2 (arXiv:2408.00118): norms after attention and MLP, soft-caps, every second layer local. */
export const gemma2 = generation('gemma2', gemma2Presets);
/** The text models of Gemma 3 (arXiv:2503.19786): norms of queries and keys, five of six layers local. */
export const gemma3 = generation('gemma3', gemma3Presets);
