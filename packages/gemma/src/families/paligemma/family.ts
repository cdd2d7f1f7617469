import type { Model, ModelFamily, ParamTree } from '../family.js';
import { describeGemma } from '../gemma/family.js';
import { gemmaLogits, gemmaTokenLosses } from '../gemma/forward.js';
import { generations } from '../gemma/generations.js';
import { headPath } from '../gemma/params.js';
import { patchCount } from '../siglip/config.js';
import { imagePresets } from '../siglip/preprocess-image.js';
import { gatherProcessor } from '../siglip/processor-files.js';
import { checkPaliGemmaConfig, type PaliGemmaConfig } from './config.js';
import { paliGemmaHidden } from './forward.js';
import { paliGemmaConfigFromHf, paliGemmaConfigToHf } from './hf.js';
import { bigVisionLayout, paliGemmaHuggingFaceLayout } from './layouts.js';
import { paliGemmaConfigFromBigVision } from './npz.js';
import {
  decoderPrefix,
  paliGemmaLinears,
  paliGemmaParamSpecs,
  paliGemmaTowers,
  type PaliGemmaParams,
} from './params.js';
import { preparePicture, preprocessorConfig } from './pictures.js';
import { paliGemmaPresets } from './presets.js';
import { paliGemmaPromptForm } from './prompt.js';

/** `paliGemmaParamSpecs` says what the tree holds: whoever makes one goes by it. */
const paramsOf = (tree: ParamTree) => tree as unknown as PaliGemmaParams;

function describe(config: PaliGemmaConfig): Model<PaliGemmaConfig> {
  const { vision, text } = checkPaliGemmaConfig(config);
  const decoder = describeGemma(text);
  const traits = generations[text.family];
  return {
    config,
    name: 'PaliGemma',
    title: `paligemma with ${vision.numLayers} vision layers and ${text.numLayers} layers of ${text.family}`,
    params: paliGemmaParamSpecs(config),
    layers: decoder.layers,
    numBlocks: text.numLayers + vision.numLayers,
    hiddenSize: text.hiddenSize,
    vocabSize: text.vocabSize,
    maxPositionEmbeddings: text.maxPositionEmbeddings,
    eosTokenIds: text.eosTokenIds,
    vision: {
      imageSize: vision.imageSize,
      patchSize: vision.patchSize,
      tokensPerImage: patchCount(vision),
      imageToken: config.imageTokenId,
      // The whole prefix is one.
      isBlock: true,
      patchesPerImage: patchCount(vision),
      patchValues: 3 * vision.patchSize ** 2,
    },
    preprocessorConfig: preprocessorConfig(vision),
    preparePicture: (image, how) => preparePicture(vision, image, how),
    prompt: paliGemmaPromptForm({ token: config.imageTokenId, places: patchCount(vision) }),
    // big_vision calls it so.
    tokenizerFiles: [...decoder.tokenizerFiles, 'paligemma_tokenizer.model'],
    embeddingPath: decoderPrefix + decoder.embeddingPath,
    headPath: decoderPrefix + headPath,
    parts: { decoder: { prefix: decoderPrefix, model: decoder } },
    layouts: { safetensors: paliGemmaHuggingFaceLayout(traits), npz: bigVisionLayout(traits) },
    settings: {
      ...decoder.settings,
      ...Object.fromEntries(Object.entries(vision).map(([key, value]) => [`vision.${key}`, value])),
    },
    forward: (params, inputs, options) => paliGemmaHidden(paramsOf(params), config, inputs, options),
    logits: (params, rows) => gemmaLogits(paramsOf(params).language, text, rows),
    tokenLosses: (params, rows, targets, options) =>
      gemmaTokenLosses(paramsOf(params).language, text, rows, targets, options),
    toHf: () => paliGemmaConfigToHf(config),
  };
}

/** PaliGemma 1 and 2 (arXiv:2407.07726, arXiv:2412.03555). */
export const paligemma = {
  id: 'paligemma',
  presets: paliGemmaPresets,
  linears: paliGemmaLinears,
  towers: paliGemmaTowers,
  imagePresets,
  hf: { modelTypes: ['paligemma'], gather: gatherProcessor, read: paliGemmaConfigFromHf },
  npz: { read: paliGemmaConfigFromBigVision },
  describe,
} as const satisfies ModelFamily<PaliGemmaConfig>;
