import { resizeAntialias } from './resize-antialias.js';
import { type PilResizeMethod, resizePil } from './resize-pil.js';
import type { FloatImage, RgbImage } from './rgb-image.js';

/**
 * `pil-bilinear`, `pil-bicubic`: Pillow's, in 8 bits. `bilinear-antialias`: that of JAX and TensorFlow, in floats. They
 * differ from each other, and from a browser's canvas, by several levels at edges: use what the model was trained with.
 */
export type ResizeMethod = PilResizeMethod | 'bilinear-antialias';

/** The size and the method of a resized picture. */
export interface ResizeOptions {
  readonly width: number;
  readonly height: number;
  readonly method: ResizeMethod;
}

/** Stretches a picture to width × height: neither cropped nor padded. */
export function resizeImage(image: RgbImage, options: ResizeOptions & { readonly method: PilResizeMethod }): RgbImage;
export function resizeImage(
  image: RgbImage,
  options: ResizeOptions & { readonly method: 'bilinear-antialias' },
): FloatImage;
export function resizeImage(image: RgbImage, options: ResizeOptions): RgbImage | FloatImage;
export function resizeImage(image: RgbImage, { width, height, method }: ResizeOptions): RgbImage | FloatImage {
  for (const size of [width, height, image.width, image.height]) {
    if (!Number.isSafeInteger(size) || size < 1)
      throw new RangeError(`resizeImage: sizes are whole numbers from 1, not ${size}`);
  }
  if (image.data.length !== image.width * image.height * 3) {
    throw new RangeError(
      `resizeImage: a picture of ${image.width}×${image.height} has ${image.width * image.height * 3} bytes, not ${image.data.length}`,
    );
  }
  return method === 'bilinear-antialias'
    ? resizeAntialias(image, width, height)
    : resizePil(image, width, height, method);
}
