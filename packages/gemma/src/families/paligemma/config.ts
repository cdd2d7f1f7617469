import { ConfigError } from '../../config/errors.js';
import { checkGemmaConfig, type GemmaConfig } from '../gemma/config.js';
import { checkSiglipConfig, type SiglipConfig } from '../siglip/config.js';

/** A SigLIP tower and a Gemma 1 or 2 decoder. */
export interface PaliGemmaConfig {
  readonly family: 'paligemma';
  readonly vision: SiglipConfig;
  readonly text: GemmaConfig;
  /** What stands for a patch in a list of token ids; its embedding is never used. */
  readonly imageTokenId: number;
}

/** Generations of Gemma that can be the decoder. */
export const decoderFamilies: readonly string[] = ['gemma1', 'gemma2'];

/** The config itself, when its numbers can be a model's. @throws ConfigError naming the field */
export function checkPaliGemmaConfig(config: PaliGemmaConfig): PaliGemmaConfig {
  checkGemmaConfig(config.text);
  if (!decoderFamilies.includes(config.text.family)) {
    throw new ConfigError('text_config.model_type', config.text.family, 'but PaliGemma has a Gemma 1 or 2 decoder');
  }
  if (config.text.layerTypes.includes('local'))
    throw new ConfigError('text.layerTypes', 'local', 'but every layer of a PaliGemma sees the whole prefix');
  checkSiglipConfig(config.vision);
  if (!Number.isSafeInteger(config.imageTokenId) || config.imageTokenId < 0) {
    throw new ConfigError('image_token_index', config.imageTokenId, 'not a token id');
  }
  return config;
}

/**
 * A decoder as PaliGemma uses it: every layer sees the whole prefix. Gemma 2's sliding window was never used in PaliGemma's
 * training (https://github.com/google-research/big_vision), and no text of its 4096 tokens can tell the difference.
 */
export function withoutWindow(text: GemmaConfig): GemmaConfig {
  return { ...text, slidingWindow: null, layerTypes: text.layerTypes.map(() => 'global') };
}
