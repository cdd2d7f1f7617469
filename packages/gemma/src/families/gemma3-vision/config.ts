import { ConfigError } from '../../config/errors.js';
import { checkGemmaConfig, type GemmaConfig } from '../gemma/config.js';
import { checkSiglipConfig, type SiglipConfig } from '../siglip/config.js';

/** A SigLIP tower and the text model of a Gemma 3. */
export interface Gemma3VisionConfig {
  readonly family: 'gemma3-vision';
  readonly vision: SiglipConfig;
  readonly text: GemmaConfig;
  /** Places that a picture takes among the tokens: a square, whose side divides that of the tower's patches. */
  readonly tokensPerImage: number;
  /** Stands for each of these places. */
  readonly imageTokenId: number;
  /** Before and after them. */
  readonly imageStartId: number;
  readonly imageEndId: number;
}

/** Sides of a picture: in patches of the tower, and in tokens. */
export function sidesOf({ vision, tokensPerImage }: Pick<Gemma3VisionConfig, 'vision' | 'tokensPerImage'>): {
  readonly patches: number;
  readonly tokens: number;
} {
  return { patches: vision.imageSize / vision.patchSize, tokens: Math.sqrt(tokensPerImage) };
}

/** The config itself, when its numbers can be a model's. @throws ConfigError naming the field */
export function checkGemma3VisionConfig(config: Gemma3VisionConfig): Gemma3VisionConfig {
  checkGemmaConfig(config.text);
  if (config.text.family !== 'gemma3')
    throw new ConfigError('text_config.model_type', config.text.family, 'but the text model is a Gemma 3');
  checkSiglipConfig(config.vision);
  const { patches, tokens } = sidesOf(config);
  if (!Number.isSafeInteger(tokens) || tokens < 1 || patches % tokens !== 0)
    throw new ConfigError(
      'mm_tokens_per_image',
      config.tokensPerImage,
      `not the square of a number that divides the ${patches} patches of a side`,
    );
  for (const [field, id] of [
    ['image_token_index', config.imageTokenId],
    ['boi_token_index', config.imageStartId],
    ['eoi_token_index', config.imageEndId],
  ] as const)
    if (!Number.isSafeInteger(id) || id < 0) throw new ConfigError(field, id, 'not a token id');
  return config;
}
