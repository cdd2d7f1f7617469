import { patchify } from '../../image/patchify.js';
import type { RgbImage } from '../../image/rgb-image.js';
import type { WeightFormat } from '../family.js';
import type { SiglipConfig } from '../siglip/config.js';
import { type ImagePreset, imagePresets, preprocessImage } from '../siglip/preprocess-image.js';

/** big_vision's files were trained on pictures that it prepared; Hugging Face's are used with its own processor. */
const published: Readonly<Record<WeightFormat, ImagePreset>> = {
  npz: 'big-vision',
  safetensors: 'hugging-face',
  gguf: 'hugging-face',
};

/** Patches f32 [N, 3·p·p] of a picture as weights of this format were trained on. @throws RangeError for a preset that is none */
export function preparePicture(
  { imageSize, patchSize }: SiglipConfig,
  image: RgbImage,
  { format, preset: name = published[format] }: { readonly format: WeightFormat; readonly preset?: string },
): Float32Array {
  const preset = imagePresets.find((known) => known === name);
  if (preset === undefined)
    throw new RangeError(`${JSON.stringify(name)} is no way to prepare pictures; there are ${imagePresets.join(', ')}`);
  return patchify(preprocessImage(image, { preset, imageSize }), imageSize, patchSize);
}
