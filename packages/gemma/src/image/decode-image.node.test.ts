import { deflateSync } from 'node:zlib';
import sharp from 'sharp';
import { expect, it } from 'vitest';
import { decodeImage } from './decode-image.js';
import { ImageError, type ImageProblem } from './image-error.js';

/** 24 × 16 of noise: no row or column is like another. */
const [width, height] = [24, 16];
const noise = Uint8Array.from({ length: width * height * 3 }, (_, i) => (Math.imul(i + 1, 0x9e3779b1) >>> 24) & 0xff);
const raw = () => sharp(noise, { raw: { width, height, channels: 3 } });

async function problemOf(source: Uint8Array | Blob): Promise<ImageError> {
  const error = await decodeImage(source, { name: 'cat.jpg' }).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(ImageError);
  return error as ImageError;
}

function pngOf(channels: 0 | 2 | 4 | 6, depth: number, rows: number[][], size = { width: 2, height: 1 }): Uint8Array {
  const chunk = (type: string, data: Uint8Array) => {
    const body = Buffer.concat([Buffer.from(type), data]);
    const out = Buffer.alloc(body.length + 8);
    out.writeUInt32BE(data.length);
    body.copy(out, 4);
    out.writeUInt32BE(crc32(body), body.length + 4);
    return out;
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(size.width, 0);
  header.writeUInt32BE(size.height, 4);
  header.set([depth, channels], 8);
  const data = deflateSync(Buffer.from(rows.flatMap((row) => [0, ...row])));
  const signature = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10);
  return Buffer.concat([signature, chunk('IHDR', header), chunk('IDAT', data), chunk('IEND', Buffer.alloc(0))]);
}

function crc32(bytes: Uint8Array): number {
  let crc = -1;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

it('reads bytes, a part of a buffer, an ArrayBuffer, a Blob and a File', async () => {
  const png = new Uint8Array(await raw().png().toBuffer());
  const shifted = new Uint8Array(png.length + 9);
  shifted.set(png, 5);
  const sources = [png, shifted.subarray(5, 5 + png.length), png.buffer, new Blob([png]), new File([png], 'a.png')];
  for (const source of sources) expect(await decodeImage(source)).toEqual({ width, height, data: noise });
  expect((await raw().webp({ lossless: true }).toBuffer().then(decodeImage)).data).toEqual(noise);
});

it('drops alpha, replicates grey, takes the upper 8 of 16 bits', async () => {
  const pixels = async (png: Uint8Array) => [...(await decodeImage(png)).data];
  expect(await pixels(pngOf(6, 8, [[10, 20, 30, 0, 40, 50, 60, 128]]))).toEqual([10, 20, 30, 40, 50, 60]);
  expect(await pixels(pngOf(0, 8, [[7, 200]]))).toEqual([7, 7, 7, 200, 200, 200]);
  expect(await pixels(pngOf(4, 8, [[7, 0, 200, 9]]))).toEqual([7, 7, 7, 200, 200, 200]);
  expect(await pixels(pngOf(0, 1, [[0b01000000]]))).toEqual([0, 0, 0, 255, 255, 255]);
  expect(await pixels(pngOf(0, 16, [[7, 255, 200, 0]]))).toEqual([7, 7, 7, 200, 200, 200]);
  expect(await pixels(pngOf(2, 16, [[1, 255, 2, 255, 3, 0, 4, 0, 5, 0, 6, 255]]))).toEqual([1, 2, 3, 4, 5, 6]);
});

it('turns pictures as EXIF says', async () => {
  const turned = await raw().webp({ lossless: true }).withMetadata({ orientation: 6 }).toBuffer();
  const image = await decodeImage(turned);
  expect(image).toMatchObject({ width: height, height: width });
  // A quarter clockwise: the first pixel of the last row comes first.
  expect([...image.data.subarray(0, 3)]).toEqual([...noise.subarray((height - 1) * width * 3).subarray(0, 3)]);
});

it.each<[string, ImageProblem, RegExp, () => Uint8Array | Promise<Uint8Array>]>([
  ['nothing', 'empty', /cat\.jpg: the file is empty/, () => new Uint8Array()],
  ['a web page', 'not-a-picture', /starts with the text "<!DOCTYPE html>/, () => Buffer.from('<!DOCTYPE html><p>404')],
  ['a GIF', 'not-a-picture', /it is a GIF\. Use PNG, JPEG or WebP/, () => Buffer.from('GIF89a……')],
  ['noise', 'not-a-picture', /starts with the bytes/, () => noise],
  ['a size of 0', 'corrupt', /0×5 pixels/, () => pngOf(2, 8, [], { width: 0, height: 5 })],
  ['a long side', 'too-large', /16385×1 pixels/, () => pngOf(2, 8, [], { width: 16385, height: 1 })],
  ['a bomb', 'too-large', /16000×16000 pixels/, () => pngOf(2, 8, [], { width: 16000, height: 16000 })],
  ['too few rows', 'corrupt', /damaged/, () => pngOf(2, 8, [[1, 2, 3, 4, 5, 6]], { width: 2, height: 9 })],
])('refuses %s', async (_, problem, message, bytes) => {
  const error = await problemOf(await bytes());
  expect(error).toMatchObject({ problem, file: 'cat.jpg' });
  expect(error.message).toMatch(message);
});

it.each(['png', 'jpeg', 'webp'] as const)('refuses a %s that is cut off or damaged', async (format) => {
  const bytes = new Uint8Array(await raw().toFormat(format).toBuffer());
  for (const part of [0.1, 0.5, 0.9, 0.999])
    expect((await problemOf(bytes.subarray(0, Math.floor(bytes.length * part)))).problem).toBe('truncated');
});

it('refuses a JPEG whose middle is missing, rather than fill it with grey', async () => {
  const bytes = await raw().jpeg().toBuffer();
  const cut = Buffer.concat([bytes.subarray(0, bytes.length * 0.7), Uint8Array.of(0xff, 0xd9)]);
  expect((await problemOf(cut)).problem).toBe('corrupt');
});

it('reads a JPEG with a thumbnail inside and bytes after its end', async () => {
  const thumbnail = await raw().resize(4, 4).jpeg().toBuffer();
  const bytes = await raw().jpeg().toBuffer();
  const length = thumbnail.length + 2;
  const segment = Buffer.concat([Uint8Array.of(0xff, 0xed, length >> 8, length & 255), thumbnail]);
  const nested = Buffer.concat([bytes.subarray(0, 2), segment, bytes.subarray(2), Buffer.from('more')]);
  expect(await decodeImage(nested)).toEqual(await decodeImage(bytes));
  expect((await problemOf(nested.subarray(0, -6))).problem).toBe('truncated');
});
