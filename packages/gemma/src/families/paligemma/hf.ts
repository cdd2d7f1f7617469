import { ConfigError, UnknownModelError } from '../../config/errors.js';
import { type Fields, isFields, modelTypeOf, readNumber } from '../../config/fields.js';
import { generationOf, generations } from '../gemma/generations.js';
import { gemmaConfigToHf, readTextConfig } from '../gemma/hf.js';
import { patchCount, type SiglipConfig, so400m } from '../siglip/config.js';
import { checkPaliGemmaConfig, decoderFamilies, type PaliGemmaConfig, withoutWindow } from './config.js';

/** What transformers assumes for a `vision_config` that leaves fields out (SiglipVisionConfig). */
const siglipDefaults = { d: 768, f: 3072, layers: 12, heads: 12, image: 224, patch: 16, eps: 1e-6 } as const;
const defaultImageToken = 257152;

/**
 * Hugging Face's config.json of a PaliGemma 1 or 2 as a `PaliGemmaConfig`. The final soft-cap is what the file says.
 * @throws {UnknownModelError} for any other model. @throws {ConfigError} naming the field.
 */
export function paliGemmaConfigFromHf(json: unknown): PaliGemmaConfig {
  if (!isFields(json)) throw new ConfigError('config.json', json, 'not an object');
  const modelType = modelTypeOf(json);
  if (modelType !== 'paligemma') throw new UnknownModelError(modelType, ['paligemma']);
  const text = json['text_config'];
  if (!isFields(text)) throw new ConfigError('text_config', text, 'not an object; it says which decoder there is');
  const decoder = modelTypeOf({ model_type: 'gemma', ...text });
  const generation = generationOf(decoder, ({ family, hf }) => (decoderFamilies.includes(family) ? hf.modelTypes : []));
  if (generation === undefined) {
    const decoders = Object.values(generations).filter(({ family }) => decoderFamilies.includes(family));
    throw new UnknownModelError(
      decoder,
      decoders.flatMap(({ hf }) => hf.modelTypes),
      'text_config',
    );
  }
  return checkPaliGemmaConfig({
    family: 'paligemma',
    vision: readVision(json['vision_config']),
    text: withoutWindow(readTextConfig(text, generation, json)),
    imageTokenId: readNumber(json, 'image_token_index', readNumber(json, 'image_token_id', defaultImageToken)),
  });
}

function readVision(vision: unknown): SiglipConfig {
  if (vision === undefined || vision === null) return so400m(siglipDefaults.image);
  if (!isFields(vision)) throw new ConfigError('vision_config', vision, 'not an object');
  const activation = vision['hidden_act'] ?? 'gelu_pytorch_tanh';
  if (activation !== 'gelu_pytorch_tanh') {
    throw new ConfigError('vision_config.hidden_act', activation, 'but SigLIP uses gelu_pytorch_tanh');
  }
  const channels = readNumber(vision, 'num_channels', 3);
  if (channels !== 3) throw new ConfigError('vision_config.num_channels', channels, 'but pictures have 3');
  return {
    hiddenSize: readNumber(vision, 'hidden_size', siglipDefaults.d),
    intermediateSize: readNumber(vision, 'intermediate_size', siglipDefaults.f),
    numLayers: readNumber(vision, 'num_hidden_layers', siglipDefaults.layers),
    numHeads: readNumber(vision, 'num_attention_heads', siglipDefaults.heads),
    imageSize: readNumber(vision, 'image_size', siglipDefaults.image),
    patchSize: readNumber(vision, 'patch_size', siglipDefaults.patch),
    layerNormEps: readNumber(vision, 'layer_norm_eps', siglipDefaults.eps),
  };
}

/** The config.json of a PaliGemma, in the spellings of old and new transformers alike. */
export function paliGemmaConfigToHf(config: PaliGemmaConfig): Record<string, unknown> {
  const { vision, text } = config;
  const { architectures: _, ...decoder }: Fields = gemmaConfigToHf(text);
  const tokens = patchCount(vision);
  return {
    architectures: ['PaliGemmaForConditionalGeneration'],
    model_type: 'paligemma',
    image_token_index: config.imageTokenId,
    projection_dim: text.hiddenSize,
    hidden_size: text.hiddenSize,
    tie_word_embeddings: true,
    pad_token_id: text.padTokenId,
    bos_token_id: text.bosTokenId,
    eos_token_id: decoder['eos_token_id'],
    text_config: { ...decoder, num_image_tokens: tokens },
    vision_config: {
      model_type: 'siglip_vision_model',
      hidden_size: vision.hiddenSize,
      intermediate_size: vision.intermediateSize,
      num_hidden_layers: vision.numLayers,
      num_attention_heads: vision.numHeads,
      image_size: vision.imageSize,
      patch_size: vision.patchSize,
      num_channels: 3,
      layer_norm_eps: vision.layerNormEps,
      hidden_act: 'gelu_pytorch_tanh',
      num_image_tokens: tokens,
      projection_dim: text.hiddenSize,
      vision_use_head: false,
    },
  };
}
