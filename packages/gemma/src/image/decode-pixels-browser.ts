import { ImageError } from './image-error.js';
import type { ImageHeader } from './image-header.js';
import { orientImage } from './orient-image.js';
import type { RgbImage } from './rgb-image.js';
import { readStraightPixels } from './straight-pixels-browser.js';
import { takeWebpOrientation } from './webp-orientation.js';

export async function decodePixels(bytes: Uint8Array, header: ImageHeader, file: string): Promise<RgbImage> {
  let bitmap: ImageBitmap;
  const isWebp = header.format === 'webp';
  const { bytes: encoded, orientation } = isWebp ? takeWebpOrientation(bytes) : { bytes, orientation: 1 as const };
  try {
    const blob = new Blob([new Uint8Array(encoded)], { type: `image/${header.format}` });
    bitmap = await createImageBitmap(blob, {
      colorSpaceConversion: 'none',
      premultiplyAlpha: 'none',
      imageOrientation: 'from-image',
    });
  } catch (cause) {
    throw new ImageError(
      file,
      'corrupt',
      `the ${header.format} is damaged, or this browser cannot decode it: ${(cause as Error).message} Export it again.`,
      { cause },
    );
  }
  try {
    const { width, height } = bitmap;
    // A 2D canvas keeps colours multiplied by alpha: exact only where nothing is transparent.
    const rgba = readOpaquePixels(bitmap) ?? readStraightPixels(bitmap, file);
    return orientImage({ width, height, data: withoutAlpha(rgba) }, orientation);
  } finally {
    bitmap.close();
  }
}

/** RGBA of a picture without transparent pixels; undefined where it has some. */
function readOpaquePixels(bitmap: ImageBitmap): Uint8ClampedArray | undefined {
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext('2d', { willReadFrequently: true });
  if (context === null) return undefined;
  context.drawImage(bitmap, 0, 0);
  const { data } = context.getImageData(0, 0, bitmap.width, bitmap.height);
  for (let i = 3; i < data.length; i += 4) if (data[i] !== 255) return undefined;
  return data;
}

function withoutAlpha(rgba: Uint8Array | Uint8ClampedArray): Uint8Array {
  const rgb = new Uint8Array((rgba.length / 4) * 3);
  for (let from = 0, to = 0; from < rgba.length; from += 4) {
    rgb[to++] = rgba[from]!;
    rgb[to++] = rgba[from + 1]!;
    rgb[to++] = rgba[from + 2]!;
  }
  return rgb;
}
