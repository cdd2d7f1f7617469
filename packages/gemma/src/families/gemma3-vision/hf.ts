import { ConfigError, UnknownModelError } from '../../config/errors.js';
import { type Fields, isFields, modelTypeOf, readNumber, watchFields } from '../../config/fields.js';
import { type Tell, tellUnreadFields } from '../../config/hf-fields.js';
import { generations } from '../gemma/generations.js';
import { checkModelType, gemmaConfigToHf, readTextConfig, refuseBidirectional } from '../gemma/hf.js';
import { isWrapped } from '../gemma/multimodal.js';
import type { HfConfig, HfFiles } from '../layout.js';
import { siglipConfigFromHf, siglipConfigToHf } from '../siglip/hf.js';
import { checkProcessor } from '../siglip/processor-files.js';
import { checkGemma3VisionConfig, type Gemma3VisionConfig } from './config.js';
import { bilinear } from './pictures.js';

const modelType = 'gemma3';
/** Of ShieldGemma 2 too, which is a Gemma 3 that is asked for the words Yes and No. */
export const modelTypes: readonly string[] = [modelType, ...(generations.gemma3.hf.multimodal?.wrappedTypes ?? [])];

/** Of every released one. */
export const defaultTokens = {
  imageTokenId: 262144,
  imageStartId: 255999,
  imageEndId: 256000,
  tokensPerImage: 256,
} as const;

/** Whether a config.json is of a model with a vision tower; without one it is read as the text model. */
export function hasVision(json: HfConfig): boolean {
  return isFields(json['vision_config']);
}

/**
 * Hugging Face's config.json of a Gemma 3 with a vision tower as a `Gemma3VisionConfig`. `tell` is told of fields that are not known; `files`
 * may say how pictures are prepared, which must be as it is done here.
 * @throws {UnknownModelError} for any other model. @throws {ConfigError} naming the field.
 */
export function gemma3VisionConfigFromHf(json: unknown, tell?: Tell, files: HfFiles = {}): Gemma3VisionConfig {
  if (!isFields(json)) throw new ConfigError('config.json', json, 'not an object');
  const whole = watchFields(json);
  const { fields } = whole;
  const type = modelTypeOf(fields);
  if (!modelTypes.includes(type)) throw new UnknownModelError(type, modelTypes);
  const text = fields['text_config'] ?? {};
  if (!isFields(text)) throw new ConfigError('text_config', text, 'not an object');
  const textFields = watchFields(text);
  const where = 'text_config.';
  checkModelType(textFields.fields, where, generations.gemma3.hf.modelTypes);
  refuseBidirectional(fields, [undefined, null, false]);
  refuseBidirectional(textFields.fields, [undefined, null, false]);
  const token = (name: string, usual: number) =>
    readNumber(fields, `${name}_token_index`, readNumber(fields, `${name}_token_id`, usual));
  const config = checkGemma3VisionConfig({
    family: 'gemma3-vision',
    vision: siglipConfigFromHf(fields['vision_config'], tell),
    text: readTextConfig(textFields, generations.gemma3, outerFields(fields), { tell, where }),
    tokensPerImage: readNumber(fields, 'mm_tokens_per_image', defaultTokens.tokensPerImage),
    imageTokenId: token('image', defaultTokens.imageTokenId),
    imageStartId: token('boi', defaultTokens.imageStartId),
    imageEndId: token('eoi', defaultTokens.imageEndId),
  });
  // What answers begin with in ShieldGemma 2's own class: whoever reads their probabilities names the words.
  tellUnreadFields(whole, tell, { known: ['yes_token_index', 'no_token_index'] });
  const { imageSize } = config.vision;
  checkProcessor(files, { imageSize, resample: bilinear, tokensPerImage: config.tokensPerImage }, tell);
  return config;
}

/** ShieldGemma 2 says that it is not tied, and is, where its text model is. */
function outerFields(fields: Fields): Fields {
  if (!isWrapped(generations.gemma3, fields)) return fields;
  const { tie_word_embeddings: _tied, ...others } = fields;
  return others;
}

/** The config.json of a Gemma 3 with a vision tower, in the spellings of old and new transformers alike; in the form of `base`, if given. */
export function gemma3VisionConfigToHf(config: Gemma3VisionConfig, base: HfConfig = {}): Record<string, unknown> {
  const { architectures: _, ...text }: Fields = gemmaConfigToHf(config.text);
  const partOf = (name: string) => {
    const { dtype: _type, torch_dtype: _oldType, ...others } = isFields(base[name]) ? base[name] : {};
    return others;
  };
  return {
    architectures: ['Gemma3ForConditionalGeneration'],
    model_type: modelType,
    ...base,
    mm_tokens_per_image: config.tokensPerImage,
    image_token_index: config.imageTokenId,
    boi_token_index: config.imageStartId,
    eoi_token_index: config.imageEndId,
    eos_token_id: text['eos_token_id'],
    tie_word_embeddings: true,
    text_config: { ...partOf('text_config'), ...text },
    vision_config: { ...partOf('vision_config'), ...siglipConfigToHf(config.vision), vision_use_head: false },
  };
}
