import type { RgbImage } from './rgb-image.js';
import type { Orientation } from './webp-orientation.js';

/** The picture upright: EXIF's orientation says where the stored first row and first column belong. */
export function orientImage(image: RgbImage, orientation: Orientation): RgbImage {
  if (orientation === 1) return image;
  const isSwapped = orientation >= 5;
  const [width, height] = isSwapped ? [image.height, image.width] : [image.width, image.height];
  // Whether the stored rows, or columns, run against the upright ones.
  const fromRight = [2, 3, 6, 7].includes(orientation);
  const fromBottom = [3, 4, 7, 8].includes(orientation);
  const data = new Uint8Array(image.data.length);
  for (let y = 0, to = 0; y < height; y++) {
    for (let x = 0; x < width; x++, to += 3) {
      const [right, down] = [fromRight ? width - 1 - x : x, fromBottom ? height - 1 - y : y];
      const from = (isSwapped ? right * image.width + down : down * image.width + right) * 3;
      data[to] = image.data[from]!;
      data[to + 1] = image.data[from + 1]!;
      data[to + 2] = image.data[from + 2]!;
    }
  }
  return { width, height, data };
}
