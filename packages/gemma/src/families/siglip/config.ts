import { ConfigError } from '../../config/errors.js';
import { checkPositive, checkSize } from '../../config/fields.js';

/** Everything the architecture of a vision tower depends on. Names follow Hugging Face's `vision_config`. */
export interface SiglipConfig {
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly numLayers: number;
  readonly numHeads: number;
  /** Pixels a side; a multiple of `patchSize`. */
  readonly imageSize: number;
  readonly patchSize: number;
  readonly layerNormEps: number;
}

/** Patches of an image: (pixels a side / patch size)². */
export function patchCount({ imageSize, patchSize }: SiglipConfig): number {
  return (imageSize / patchSize) ** 2;
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

const largestSize = 2 ** 16;
const largestLayerCount = 4096;
/** Of the attention kernels. */
const largestHeadDim = 256;

/** @throws ConfigError naming the field, where the numbers can be no tower's */
export function checkSiglipConfig(vision: SiglipConfig): void {
  const sizes = ['hiddenSize', 'intermediateSize', 'numHeads', 'imageSize', 'patchSize'] as const;
  for (const field of sizes) checkSize(`vision.${field}`, vision[field], largestSize);
  checkSize('vision.numLayers', vision.numLayers, largestLayerCount);
  checkPositive('vision.layerNormEps', vision.layerNormEps);
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
}
