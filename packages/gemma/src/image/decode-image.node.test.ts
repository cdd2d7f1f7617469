import sharp from 'sharp';
import { expect, it } from 'vitest';
import { decodeImage } from './decode-image.js';

// A page fills it: `createImageBitmap` does not tell.
it('refuses a JPEG whose middle is missing, rather than fill it with grey', async () => {
  const noise = Uint8Array.from({ length: 24 * 16 * 3 }, (_, i) => (Math.imul(i + 1, 0x9e3779b1) >>> 24) & 0xff);
  const bytes = await sharp(noise, { raw: { width: 24, height: 16, channels: 3 } })
    .jpeg()
    .toBuffer();
  const cut = Buffer.concat([bytes.subarray(0, bytes.length * 0.7), Uint8Array.of(0xff, 0xd9)]);
  await expect(decodeImage(cut)).rejects.toMatchObject({ name: 'ImageError', problem: 'corrupt' });
});
