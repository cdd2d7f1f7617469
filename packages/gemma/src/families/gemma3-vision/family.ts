import type { Model, ModelFamily, ParamTree } from '../family.js';
import { describeGemma } from '../gemma/family.js';
import { generations } from '../gemma/generations.js';
import { patchCount } from '../siglip/config.js';
import { imagePresets } from '../siglip/preprocess-image.js';
import { gatherProcessor } from '../siglip/processor-files.js';
import { checkGemma3VisionConfig, type Gemma3VisionConfig } from './config.js';
import { gemma3VisionHidden } from './forward.js';
import { gemma3VisionConfigFromHf, gemma3VisionConfigToHf, hasVision, modelTypes } from './hf.js';
import { gemma3VisionLayout } from './layouts.js';
import { gemma3VisionLinears, gemma3VisionParamSpecs, gemma3VisionTowers, type Gemma3VisionParams } from './params.js';
import { preparePicture, preprocessorConfig } from './pictures.js';
import { gemma3VisionPresets } from './presets.js';
import { gemma3VisionPrompt } from './prompt.js';

/** `gemma3VisionParamSpecs` says what the tree holds: whoever makes one goes by it. */
const paramsOf = (tree: ParamTree) => tree as unknown as Gemma3VisionParams;

function describe(config: Gemma3VisionConfig): Model<Gemma3VisionConfig> {
  const { vision, text } = checkGemma3VisionConfig(config);
  const textPart = describeGemma(text);
  const { toGguf: _none, ...model } = textPart;
  return {
    ...model,
    config,
    textPart,
    title: `gemma3 with ${vision.numLayers} vision layers and ${text.numLayers} layers`,
    params: gemma3VisionParamSpecs(config),
    numBlocks: text.numLayers + vision.numLayers,
    vision: {
      imageSize: vision.imageSize,
      patchSize: vision.patchSize,
      patchesPerImage: patchCount(vision),
      patchValues: 3 * vision.patchSize ** 2,
      tokensPerImage: config.tokensPerImage,
      imageToken: config.imageTokenId,
      isBlock: true,
    },
    preparePicture: (image, how) => preparePicture(vision, image, how),
    preprocessorConfig: preprocessorConfig(vision, config.tokensPerImage),
    prompt: gemma3VisionPrompt(config),
    layouts: { safetensors: gemma3VisionLayout(generations[text.family]) },
    settings: {
      ...model.settings,
      family: config.family,
      tokensPerImage: config.tokensPerImage,
      ...Object.fromEntries(Object.entries(vision).map(([key, value]) => [`vision.${key}`, value])),
    },
    forward: (params, inputs, options) => gemma3VisionHidden(paramsOf(params), config, inputs, options),
    toHf: (base) => gemma3VisionConfigToHf(config, base),
  };
}

/** Gemma 3 of 4B and more with its vision tower (arXiv:2503.19786); MedGemma, TranslateGemma and ShieldGemma 2 are of its kind. */
export const gemma3Vision = {
  id: 'gemma3-vision',
  presets: gemma3VisionPresets,
  linears: gemma3VisionLinears,
  towers: gemma3VisionTowers,
  imagePresets,
  hf: { modelTypes, isOwn: hasVision, gather: gatherProcessor, read: gemma3VisionConfigFromHf },
  describe,
} as const satisfies ModelFamily<Gemma3VisionConfig>;
