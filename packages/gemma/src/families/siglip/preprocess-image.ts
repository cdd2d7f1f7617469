import { patchify } from '../../image/patchify.js';
import { type ResizeMethod, resizeImage } from '../../image/resize-image.js';
import type { RgbImage } from '../../image/rgb-image.js';
import type { SiglipConfig } from './config.js';

interface Preset {
  readonly method: ResizeMethod;
  /** 0 … 255 → −1 … 1, rounded as the implementation named rounds. */
  readonly normalize: (value: number) => number;
}

const { fround } = Math;
const divideThenShift = (value: number) => fround(value / 127.5) - 1;
// transformers multiplies in double precision, rounds to f32, and goes on in f32; the last division is exact.
const rescaleThenNormalize = (value: number) => fround(fround(value * (1 / 255)) - 0.5) / 0.5;

const presets = {
  /** What PaliGemma was trained with: google-research/big_vision, and its colab. */
  'big-vision': { method: 'bilinear-antialias', normalize: divideThenShift },
  /** PaliGemmaProcessor of transformers (SigLIP's image processor). */
  'hugging-face': { method: 'pil-bicubic', normalize: rescaleThenNormalize },
  /** Gemma3Processor of transformers. */
  'gemma3-hugging-face': { method: 'pil-bilinear', normalize: rescaleThenNormalize },
} as const satisfies Record<string, Preset>;

/** Whose way of making pixels a model is given. */
export type ImagePreset = keyof typeof presets;

/** Every `ImagePreset`. */
export const imagePresets = Object.keys(presets) as readonly ImagePreset[];

/** How a picture is prepared. */
export interface PreprocessImageOptions {
  readonly preset: ImagePreset;
  /** The model's picture, S pixels a side: 224, 448 or 896. */
  readonly imageSize: number;
}

/** A picture as a vision tower takes it: stretched to S × S, values −1 … 1, f32 [3, S, S]. */
export function preprocessImage(image: RgbImage, { preset, imageSize }: PreprocessImageOptions): Float32Array {
  const { method, normalize } = presets[preset];
  const { data } = resizeImage(image, { width: imageSize, height: imageSize, method });
  const area = imageSize * imageSize;
  const pixels = new Float32Array(3 * area);
  for (let c = 0; c < 3; c++) {
    for (let i = 0; i < area; i++) pixels[c * area + i] = normalize(data[3 * i + c]!);
  }
  return pixels;
}

/** Patches f32 [N, 3·p·p] of a picture, prepared by the preset of this name. @throws RangeError for one that is none */
export function patchesOfPicture(
  { imageSize, patchSize }: Pick<SiglipConfig, 'imageSize' | 'patchSize'>,
  image: RgbImage,
  name: string,
): Float32Array {
  const preset = imagePresets.find((known) => known === name);
  if (preset === undefined)
    throw new RangeError(`${JSON.stringify(name)} is no way to prepare pictures; there are ${imagePresets.join(', ')}`);
  return patchify(preprocessImage(image, { preset, imageSize }), imageSize, patchSize);
}
