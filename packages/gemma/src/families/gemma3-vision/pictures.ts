import type { RgbImage } from '../../image/rgb-image.js';
import type { WeightFormat } from '../family.js';
import type { SiglipConfig } from '../siglip/config.js';
import { patchesOfPicture } from '../siglip/preprocess-image.js';

/** Pillow's number of bilinear. */
export const bilinear = 2;

/** How Gemma3Processor of transformers is told to prepare pictures, as for the files on the hub. */
export function preprocessorConfig({ imageSize }: SiglipConfig, tokensPerImage: number): Record<string, unknown> {
  return {
    image_processor_type: 'Gemma3ImageProcessor',
    processor_class: 'Gemma3Processor',
    do_resize: true,
    size: { height: imageSize, width: imageSize },
    resample: bilinear,
    do_rescale: true,
    rescale_factor: 1 / 255,
    do_normalize: true,
    image_mean: [0.5, 0.5, 0.5],
    image_std: [0.5, 0.5, 0.5],
    image_seq_length: tokensPerImage,
    do_pan_and_scan: null,
    pan_and_scan_min_crop_size: null,
    pan_and_scan_max_num_crops: null,
    pan_and_scan_min_ratio_to_activate: null,
  };
}

/** Patches f32 [N, 3·p·p] of a picture, stretched as Gemma3Processor does it. @throws RangeError for a preset that is none */
export function preparePicture(
  vision: SiglipConfig,
  image: RgbImage,
  { preset = 'gemma3-hugging-face' }: { readonly format: WeightFormat; readonly preset?: string },
): Float32Array {
  return patchesOfPicture(vision, image, preset);
}
