import type { RgbImage } from '../../image/rgb-image.js';
import type { WeightFormat } from '../family.js';
import { patchCount, type SiglipConfig } from '../siglip/config.js';
import { type ImagePreset, patchesOfPicture } from '../siglip/preprocess-image.js';

/** big_vision's files were trained on pictures that it prepared; Hugging Face's are used with its own processor. */
const published: Readonly<Record<WeightFormat, ImagePreset>> = {
  npz: 'big-vision',
  safetensors: 'hugging-face',
  gguf: 'hugging-face',
};

/** Pillow's number of bicubic. */
export const bicubic = 3;

/** How PaliGemmaProcessor of transformers is told to prepare pictures, as for the files on the hub. */
export function preprocessorConfig(vision: SiglipConfig): Record<string, unknown> {
  const { imageSize: height } = vision;
  return {
    image_processor_type: 'SiglipImageProcessor',
    processor_class: 'PaliGemmaProcessor',
    do_resize: true,
    size: { height, width: height },
    resample: bicubic,
    do_rescale: true,
    rescale_factor: 1 / 255,
    do_normalize: true,
    image_mean: [0.5, 0.5, 0.5],
    image_std: [0.5, 0.5, 0.5],
    image_seq_length: patchCount(vision),
  };
}

/** Patches f32 [N, 3·p·p] of a picture as weights of this format were trained on. @throws RangeError for a preset that is none */
export function preparePicture(
  vision: SiglipConfig,
  image: RgbImage,
  { format, preset = published[format] }: { readonly format: WeightFormat; readonly preset?: string },
): Float32Array {
  return patchesOfPicture(vision, image, preset);
}
