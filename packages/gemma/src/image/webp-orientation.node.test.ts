import sharp from 'sharp';
import { expect, it } from 'vitest';
import { orientImage } from './orient-image.js';
import { type Orientation, takeWebpOrientation } from './webp-orientation.js';

const [width, height] = [5, 3];
const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => i * 5);
const stored = sharp(data, { raw: { width, height, channels: 3 } }).webp({ lossless: true });

it.each([1, 2, 3, 4, 5, 6, 7, 8] as Orientation[])('turns orientation %d as sharp does', async (orientation) => {
  const webp = await stored.clone().withMetadata({ orientation }).toBuffer();
  const upright = await sharp(webp, { autoOrient: true }).raw().toBuffer({ resolveWithObject: true });
  const taken = takeWebpOrientation(webp);
  expect(taken.orientation).toBe(orientation);
  const image = orientImage({ width, height, data }, taken.orientation);
  expect(image).toMatchObject({ width: upright.info.width, height: upright.info.height });
  expect([...image.data]).toEqual([...upright.data]);
  // What is left decodes, and nobody turns it.
  const { width: leftWidth, orientation: left } = await sharp(taken.bytes).metadata();
  expect([leftWidth, left]).toEqual([width, undefined]);
});

it('leaves a WebP without EXIF data alone, and survives cut data', async () => {
  const plain = new Uint8Array(await stored.clone().toBuffer());
  expect(takeWebpOrientation(plain)).toEqual({ bytes: plain, orientation: 1 });
  const tagged = new Uint8Array(await stored.clone().withMetadata({ orientation: 6 }).toBuffer());
  for (let length = 0; length < tagged.length; length++)
    expect([1, 6]).toContain(takeWebpOrientation(tagged.slice(0, length)).orientation);
});
