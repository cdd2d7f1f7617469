import { ConfigError, UnknownModelError } from '../../config/errors.js';
import { type Fields, isFields, modelTypeOf, readNumber, watchFields } from '../../config/fields.js';
import { checkActivation, type Tell, tellUnreadFields } from '../../config/hf-fields.js';
import { generationOf, generations } from '../gemma/generations.js';
import { checkModelType, gemmaConfigToHf, readTextConfig, refuseBidirectional } from '../gemma/hf.js';
import { patchCount, type SiglipConfig, so400m } from '../siglip/config.js';
import { checkPaliGemmaConfig, decoderFamilies, type PaliGemmaConfig, withoutWindow } from './config.js';

/** What transformers assumes for a `vision_config` that leaves fields out (SiglipVisionConfig). */
const siglipDefaults = { d: 768, f: 3072, layers: 12, heads: 12, image: 224, patch: 16, eps: 1e-6 } as const;
const defaultImageToken = 257152;
/** What the shapes of the weights say too, or follows from other fields. */
const outerFields = ['hidden_size', 'projection_dim', 'vocab_size', '_vocab_size', 'num_image_tokens'];
const visionFields = [
  'projection_dim',
  'num_image_tokens',
  'num_positions',
  'vision_use_head',
  'projector_hidden_act',
  'vocab_size',
];

/**
 * Hugging Face's config.json of a PaliGemma 1 or 2 as a `PaliGemmaConfig`. The final soft-cap is what the file says. `tell` is told
 * of fields that are not known.
 * @throws {UnknownModelError} for any other model. @throws {ConfigError} naming the field.
 */
export function paliGemmaConfigFromHf(json: unknown, tell?: Tell): PaliGemmaConfig {
  if (!isFields(json)) throw new ConfigError('config.json', json, 'not an object');
  const whole = watchFields(json);
  const { fields } = whole;
  const modelType = modelTypeOf(fields);
  if (modelType !== 'paligemma') throw new UnknownModelError(modelType, ['paligemma']);
  const text = fields['text_config'];
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
  const decoderFields = watchFields(text);
  // transformers takes what is not said for true.
  refuseBidirectional(decoderFields.fields, [undefined, null, true]);
  // transformers caps PaliGemma's logits by this field whichever decoder there is.
  const cap = text['final_logit_softcapping'] ?? null;
  if (generation.softcaps === null && cap !== null)
    throw new ConfigError('text_config.final_logit_softcapping', cap, `but a decoder of ${generation.name} has none`);
  const where = 'text_config.';
  const config = checkPaliGemmaConfig({
    family: 'paligemma',
    vision: readVision(fields['vision_config'], tell),
    text: withoutWindow(readTextConfig(decoderFields, generation, fields, { tell, where })),
    imageTokenId: readNumber(fields, 'image_token_index', readNumber(fields, 'image_token_id', defaultImageToken)),
  });
  tellUnreadFields(whole, tell, { known: outerFields });
  return config;
}

function readVision(json: unknown, tell: Tell | undefined): SiglipConfig {
  if (json === undefined || json === null) return so400m(siglipDefaults.image);
  if (!isFields(json)) throw new ConfigError('vision_config', json, 'not an object');
  const watched = watchFields(json);
  const vision = watched.fields;
  const where = 'vision_config.';
  checkModelType(vision, where, ['siglip_vision_model']);
  checkActivation(vision, 'hidden_act', where);
  const channels = readNumber(vision, 'num_channels', 3);
  if (channels !== 3) throw new ConfigError('vision_config.num_channels', channels, 'but pictures have 3');
  const config = {
    hiddenSize: readNumber(vision, 'hidden_size', siglipDefaults.d),
    intermediateSize: readNumber(vision, 'intermediate_size', siglipDefaults.f),
    numLayers: readNumber(vision, 'num_hidden_layers', siglipDefaults.layers),
    numHeads: readNumber(vision, 'num_attention_heads', siglipDefaults.heads),
    imageSize: readNumber(vision, 'image_size', siglipDefaults.image),
    patchSize: readNumber(vision, 'patch_size', siglipDefaults.patch),
    layerNormEps: readNumber(vision, 'layer_norm_eps', siglipDefaults.eps),
  };
  tellUnreadFields(watched, tell, { where, known: visionFields });
  return config;
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
