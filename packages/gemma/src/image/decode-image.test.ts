import { expect, it } from 'vitest';
import { sameBytes } from '../../../../test/support/same-bytes.js';
import { fixtureBytes } from '../../../../test/support/safetensors-fixture.js';
import { decodeImage } from './decode-image.js';
import { ImageError, type ImageProblem } from './image-error.js';
import { orientImage } from './orient-image.js';
import { animatedWebp, joined, jpegOfSize, pngOf, withWebpOrientation } from './testing/made-up-pictures.js';

/** 24 × 16 of noise: no row or column is like another. */
const [width, height] = [24, 16];
const noise = Uint8Array.from({ length: width * height * 3 }, (_, i) => (Math.imul(i + 1, 0x9e3779b1) >>> 24) & 0xff);
const noisePng = await pngOf(
  2,
  8,
  Array.from({ length: height }, (_, y) => noise.subarray(y * width * 3, (y + 1) * width * 3)),
  { width, height },
);

async function problemOf(source: Uint8Array | Blob): Promise<ImageError> {
  const error = await decodeImage(source, { name: 'cat.jpg' }).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(ImageError);
  return error as ImageError;
}

it('reads bytes, a part of a buffer, an ArrayBuffer, a Blob and a File', async () => {
  const png = noisePng;
  const shifted = new Uint8Array(png.length + 9);
  shifted.set(png, 5);
  const sources = [png, shifted.subarray(5, 5 + png.length), png.buffer, new Blob([png]), new File([png], 'a.png')];
  for (const source of sources) expect(await decodeImage(source)).toEqual({ width, height, data: noise });
});

it('drops alpha, replicates grey, takes the upper 8 of 16 bits', async () => {
  const pixels = async (...png: Parameters<typeof pngOf>) => [...(await decodeImage(await pngOf(...png))).data];
  expect(await pixels(6, 8, [[10, 20, 30, 0, 40, 50, 60, 128]])).toEqual([10, 20, 30, 40, 50, 60]);
  expect(await pixels(0, 8, [[7, 200]])).toEqual([7, 7, 7, 200, 200, 200]);
  expect(await pixels(4, 8, [[7, 0, 200, 9]])).toEqual([7, 7, 7, 200, 200, 200]);
  expect(await pixels(0, 1, [[0b01000000]])).toEqual([0, 0, 0, 255, 255, 255]);
  expect(await pixels(0, 16, [[7, 255, 200, 0]])).toEqual([7, 7, 7, 200, 200, 200]);
  expect(await pixels(2, 16, [[1, 255, 2, 255, 3, 0, 4, 0, 5, 0, 6, 255]])).toEqual([1, 2, 3, 4, 5, 6]);
});

it.each([1, 2, 3, 4, 5, 6, 7, 8] as const)('turns a WebP whose EXIF data say orientation %d', async (orientation) => {
  const stored = await fixtureBytes('images/lossless.webp');
  const upright = await decodeImage(stored);
  const expected = orientImage(upright, orientation);
  const found = await decodeImage(withWebpOrientation(stored, upright, orientation));
  expect([found.width, found.height]).toEqual([expected.width, expected.height]);
  expect(sameBytes(found.data, expected.data)).toBe(true);
});

it.each<[string, ImageProblem, RegExp, () => Uint8Array | Promise<Uint8Array>]>([
  ['nothing', 'empty', /cat\.jpg: the file is empty/, () => new Uint8Array()],
  ['a web page', 'not-a-picture', /starts with the text "<!DOCTYPE html>/, () => joined('<!DOCTYPE html><p>404')],
  ['a GIF', 'not-a-picture', /it is a GIF\. Use PNG, JPEG or WebP/, () => joined('GIF89a……')],
  ['noise', 'not-a-picture', /starts with the bytes/, () => noise],
  ['a size of 0', 'corrupt', /0×5 pixels/, () => pngOf(2, 8, [], { width: 0, height: 5 })],
  ['a long side', 'too-large', /16385×1 pixels/, () => pngOf(2, 8, [], { width: 16385, height: 1 })],
  ['a bomb', 'too-large', /16000×16000 pixels/, () => pngOf(2, 8, [], { width: 16000, height: 16000 })],
  [
    'a bomb of a JPEG',
    'too-large',
    /60000×60000 pixels/,
    async () => jpegOfSize(await fixtureBytes('images/photo.jpg'), 60_000),
  ],
  [
    'a bomb of a WebP',
    'too-large',
    /60000×60000 pixels/,
    async () => animatedWebp(await fixtureBytes('images/lossless.webp'), { width: 60_000, height: 60_000, frames: 1 }),
  ],
  [
    'a bomb of a GIF',
    'not-a-picture',
    /it is a GIF/,
    () => joined('GIF89a', [0x60, 0xea, 0x60, 0xea, 0, 0, 0], '\x3b'),
  ],
  ['too few rows', 'corrupt', /damaged/, () => pngOf(2, 8, [[1, 2, 3, 4, 5, 6]], { width: 2, height: 9 })],
])('refuses %s', async (_, problem, message, bytes) => {
  const error = await problemOf(await bytes());
  expect(error).toMatchObject({ problem, file: 'cat.jpg' });
  expect(error.message).toMatch(message);
});

it('takes the first of ten thousand frames, and no memory for the others', async () => {
  const still = await fixtureBytes('images/lossless.webp');
  const picture = await decodeImage(still);
  const found = await decodeImage(animatedWebp(still.subarray(0), { ...picture, frames: 10_000 }));
  expect([found.width, found.height]).toEqual([picture.width, picture.height]);
  expect(sameBytes(found.data, picture.data)).toBe(true);
});

it.each(['rgb.png', 'photo.jpg', 'progressive.jpg', 'lossless.webp', 'lossy.webp'])(
  'refuses %s where it is cut off',
  async (name) => {
    const bytes = await fixtureBytes(`images/${name}`);
    for (const part of [0.1, 0.5, 0.9, 0.999])
      expect((await problemOf(bytes.subarray(0, Math.floor(bytes.length * part)))).problem).toBe('truncated');
  },
);

it('reads a JPEG with a thumbnail inside and bytes after its end', async () => {
  const thumbnail = await fixtureBytes('images/grey.jpg');
  const bytes = await fixtureBytes('images/photo.jpg');
  const length = thumbnail.length + 2;
  const segment = joined([0xff, 0xed, length >> 8, length & 255], thumbnail);
  const nested = joined(bytes.subarray(0, 2), segment, bytes.subarray(2), 'more');
  expect(await decodeImage(nested)).toEqual(await decodeImage(bytes));
  expect((await problemOf(nested.subarray(0, -6))).problem).toBe('truncated');
});
