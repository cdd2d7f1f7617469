import { cmykToRgb } from './cmyk.js';
import { ImageError } from './image-error.js';
import type { ImageHeader } from './image-header.js';
import type { RgbImage } from './rgb-image.js';

export async function decodePixels(bytes: Uint8Array, header: ImageHeader, file: string): Promise<RgbImage> {
  const sharp = await loadSharp(file);
  const isCmyk = header.components === 4;
  try {
    // Warnings end it too: data that stops in the middle of a JPEG is no more than that.
    const picture = sharp(bytes, { failOn: 'warning', autoOrient: true, ignoreIcc: true });
    // sharp's own way from CMYK to RGB is by a profile.
    if (isCmyk) picture.pipelineColourspace('cmyk');
    const { data, info } = await picture
      .toColourspace(isCmyk ? 'cmyk' : 'srgb')
      .removeAlpha()
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true });
    const pixels = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    return { width: info.width, height: info.height, data: isCmyk ? cmykToRgb(pixels) : pixels };
  } catch (cause) {
    const reason = (cause as Error).message.split('\n')[0];
    throw new ImageError(
      file,
      'corrupt',
      `the ${header.format} is damaged: ${reason}. Download it or export it again.`,
      { cause },
    );
  }
}

/** Loaded when the first picture comes: it is a native library, of no use to those who train on text. */
async function loadSharp(file: string): Promise<typeof import('sharp').default> {
  try {
    const { default: sharp } = await import('sharp');
    return sharp;
  } catch (cause) {
    const reason = (cause as Error).message.split('\n')[0];
    throw new ImageError(
      file,
      'unsupported',
      `the package sharp, which decodes pictures in Node, does not load here: ${reason}. Install it for this system ` +
        '(npm install sharp).',
      { cause },
    );
  }
}
