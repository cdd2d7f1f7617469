import { decodePixels } from '#image-platform';
import { ImageError } from './image-error.js';
import { readImageHeader } from './image-header.js';
import type { RgbImage } from './rgb-image.js';

/** How a picture is decoded. */
export interface DecodeImageOptions {
  /** What messages call the picture. Default: a `File`'s name, else 'image'. */
  readonly name?: string;
}

/**
 * The pixels of a PNG, JPEG or WebP (of an animation the first frame), as Pillow's `convert('RGB')` after `exif_transpose`
 * has them: alpha dropped without blending, grey replicated, palettes expanded, the upper 8 of 16 bits, EXIF orientation
 * applied, colour profiles not. Node decodes with sharp, a page with `createImageBitmap`, which fills damaged stretches of a
 * JPEG instead of refusing it.
 * @throws {ImageError} for what is empty, no such picture, cut off, damaged, or larger than 16,384 pixels a side or 100
 * million in all.
 */
export async function decodeImage(
  source: Uint8Array | ArrayBuffer | Blob,
  { name }: DecodeImageOptions = {},
): Promise<RgbImage> {
  const isBlob = source instanceof Blob;
  const file = name ?? (isBlob && 'name' in source && typeof source.name === 'string' ? source.name : 'image');
  if (!isBlob && !(source instanceof Uint8Array) && !(source instanceof ArrayBuffer))
    throw new ImageError(file, 'not-a-picture', 'a picture must be given as a Uint8Array, an ArrayBuffer or a Blob.');
  let bytes: Uint8Array;
  try {
    bytes = source instanceof Uint8Array ? source : new Uint8Array(isBlob ? await source.arrayBuffer() : source);
  } catch (cause) {
    throw new ImageError(file, 'empty', `its bytes could not be read: ${(cause as Error).message}`, { cause });
  }
  const header = readImageHeader(bytes, file);
  return decodePixels(bytes, header, file);
}
