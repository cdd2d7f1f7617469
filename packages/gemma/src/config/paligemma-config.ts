import type { GemmaConfig } from './gemma-config.js';
import { ConfigError } from './errors.js';
import { checkConfig } from './fields.js';
import type { PaliGemmaConfig } from '../models/paligemma.js';
import type { SiglipConfig } from '../models/siglip.js';

const largestSize = 2 ** 16;
/** Of the attention kernels. */
const largestHeadDim = 256;

/** The config itself, when its numbers can be a model's. @throws {ConfigError} naming the field. */
export function checkPaliGemmaConfig(config: PaliGemmaConfig): PaliGemmaConfig {
  checkConfig(config.text);
  if (config.text.family === 'gemma3') {
    throw new ConfigError('text_config.model_type', 'gemma3', 'but PaliGemma has a Gemma 1 or 2 decoder');
  }
  const { vision } = config;
  const sizes = ['hiddenSize', 'intermediateSize', 'numLayers', 'numHeads', 'imageSize', 'patchSize'] as const;
  for (const field of sizes) {
    const value = vision[field];
    if (!Number.isSafeInteger(value) || value < 1 || value > largestSize) {
      throw new ConfigError(`vision.${field}`, value, `not an integer from 1 to ${largestSize}`);
    }
  }
  if (!(vision.layerNormEps > 0)) {
    throw new ConfigError('vision.layerNormEps', vision.layerNormEps, 'not a positive number');
  }
  if (vision.imageSize % vision.patchSize !== 0) {
    throw new ConfigError('vision.imageSize', vision.imageSize, `not a multiple of the patch size ${vision.patchSize}`);
  }
  const headDim = vision.hiddenSize / vision.numHeads;
  if (!Number.isInteger(headDim) || headDim > largestHeadDim) {
    throw new ConfigError(
      'vision.numHeads',
      vision.numHeads,
      `which makes heads of ${headDim}; they must be whole, at most ${largestHeadDim}`,
    );
  }
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

/** SigLIP So400m/14 (https://github.com/google-research/big_vision), the tower of every released PaliGemma. */
export function so400m(imageSize: number): SiglipConfig {
  return {
    hiddenSize: 1152,
    intermediateSize: 4304,
    numLayers: 27,
    numHeads: 16,
    imageSize,
    patchSize: 14,
    layerNormEps: 1e-6,
  };
}
