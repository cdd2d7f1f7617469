import { ConfigError, UnknownModelError } from '../../config/errors.js';
import { type Fields, isFields, modelTypeOf, readNumber, watchFields } from '../../config/fields.js';
import { type Tell, tellUnreadFields } from '../../config/hf-fields.js';
import { generationOf, generations } from '../gemma/generations.js';
import { gemmaConfigToHf, readTextConfig, refuseBidirectional } from '../gemma/hf.js';
import { patchCount } from '../siglip/config.js';
import type { HfFiles } from '../layout.js';
import { siglipConfigFromHf, siglipConfigToHf } from '../siglip/hf.js';
import { checkProcessor } from '../siglip/processor-files.js';
import { checkPaliGemmaConfig, decoderFamilies, type PaliGemmaConfig, withoutWindow } from './config.js';
import { bicubic } from './pictures.js';

const defaultImageToken = 257152;
/** What the shapes of the weights say too, or follows from other fields. */
const outerFields = ['hidden_size', 'projection_dim', 'vocab_size', '_vocab_size', 'num_image_tokens'];

/**
 * Hugging Face's config.json of a PaliGemma 1 or 2 as a `PaliGemmaConfig`. The final soft-cap is what the file says. `tell` is told
 * of fields that are not known; `files` may say how pictures are prepared, which must be as it is done here.
 * @throws {UnknownModelError} for any other model. @throws {ConfigError} naming the field.
 */
export function paliGemmaConfigFromHf(json: unknown, tell?: Tell, files: HfFiles = {}): PaliGemmaConfig {
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
    vision: siglipConfigFromHf(fields['vision_config'], tell),
    text: withoutWindow(readTextConfig(decoderFields, generation, fields, { tell, where })),
    imageTokenId: readNumber(fields, 'image_token_index', readNumber(fields, 'image_token_id', defaultImageToken)),
  });
  tellUnreadFields(whole, tell, { known: outerFields });
  const { vision } = config;
  checkProcessor(files, { imageSize: vision.imageSize, resample: bicubic, tokensPerImage: patchCount(vision) }, tell);
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
      ...siglipConfigToHf(vision),
      num_image_tokens: tokens,
      projection_dim: text.hiddenSize,
      vision_use_head: false,
    },
  };
}
