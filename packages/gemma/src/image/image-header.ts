import { ImageError } from './image-error.js';

export interface ImageHeader {
  readonly format: 'png' | 'jpeg' | 'webp';
  /** As stored: an EXIF orientation may swap them. */
  readonly width: number;
  readonly height: number;
  /** Colour channels of a JPEG: 1 grey, 3 colour, 4 CMYK. */
  readonly components?: number;
}

/** What 2D canvases hold in every browser, and more than any model here sees. */
const longestSide = 16_384;
/** 300 MB of RGB. */
const mostPixels = 100_000_000;

/** Pictures that are often handed over, but not decoded: the first bytes (latin-1), from a position on. */
const otherKinds: readonly (readonly [kind: string, offset: number, magic: string])[] = [
  ['a GIF', 0, 'GIF8'],
  ['a BMP', 0, 'BM'],
  ['a TIFF', 0, 'II*\0'],
  ['a TIFF', 0, 'MM\0*'],
  ['a HEIC or AVIF picture', 4, 'ftyp'],
  ['a PDF', 0, '%PDF'],
  ['a Git LFS pointer, not the file it stands for', 0, 'version https://git-lfs'],
];

/**
 * Format and size of a PNG, JPEG or WebP, found without decoding it, and whether its end is there: browsers fill what is
 * missing with grey or nothing. So a picture of absurd size is refused before it takes memory.
 * @throws {ImageError}
 */
export function readImageHeader(bytes: Uint8Array, file: string): ImageHeader {
  if (bytes.length === 0)
    throw new ImageError(file, 'empty', 'the file is empty. Check that it was written or uploaded.');
  const header = startsWith(bytes, 0, '\x89PNG\r\n\x1a\n')
    ? readPng(bytes, file)
    : startsWith(bytes, 0, '\xff\xd8\xff')
      ? readJpeg(bytes, file)
      : startsWith(bytes, 0, 'RIFF') && startsWith(bytes, 8, 'WEBP')
        ? readWebp(bytes, file)
        : refuse(bytes, file);
  const { width, height } = header;
  if (width === 0 || height === 0) {
    throw new ImageError(file, 'corrupt', `its header says ${width}×${height} pixels. Export the picture again.`);
  }
  if (width > longestSide || height > longestSide || width * height > mostPixels) {
    throw new ImageError(
      file,
      'too-large',
      `it has ${width}×${height} pixels; at most ${longestSide} a side and ${mostPixels / 1e6} million in all are ` +
        'read. Scale it down: models see it at 896 pixels a side or fewer.',
    );
  }
  return header;
}

function startsWith(bytes: Uint8Array, offset: number, magic: string): boolean {
  if (bytes.length < offset + magic.length) return false;
  for (let i = 0; i < magic.length; i++) if (bytes[offset + i] !== magic.charCodeAt(i)) return false;
  return true;
}

function refuse(bytes: Uint8Array, file: string): never {
  const use = 'Use PNG, JPEG or WebP.';
  for (const [kind, offset, magic] of otherKinds) {
    if (startsWith(bytes, offset, magic)) throw new ImageError(file, 'not-a-picture', `it is ${kind}. ${use}`);
  }
  const start = bytes.subarray(0, 16);
  const isText = start.every((byte) => (byte >= 32 && byte < 127) || byte === 9 || byte === 10 || byte === 13);
  const shown = isText
    ? `the text ${JSON.stringify(String.fromCharCode(...start))}`
    : `the bytes ${[...start.subarray(0, 8)].map((byte) => byte.toString(16).padStart(2, '0')).join(' ')}`;
  throw new ImageError(file, 'not-a-picture', `it starts with ${shown}, as no picture does. ${use}`);
}

function truncated(file: string, kind: string, missing: string): ImageError {
  return new ImageError(file, 'truncated', `the ${kind} is cut off: ${missing}. Download or copy it again.`);
}

/** Signature, then chunks: length u32, type, data, checksum u32; IHDR first, IEND last (PNG, third edition, 5). */
function readPng(bytes: Uint8Array, file: string): ImageHeader {
  const view = viewOf(bytes);
  if (bytes.length < 33) throw truncated(file, 'PNG', 'its header is missing');
  if (!startsWith(bytes, 12, 'IHDR')) throw new ImageError(file, 'corrupt', 'the PNG does not start with its header.');
  for (let at = 8, isLast = false; !isLast; ) {
    isLast = startsWith(bytes, at + 4, 'IEND');
    if (at + 12 > bytes.length)
      throw truncated(file, 'PNG', `it ends after ${bytes.length} bytes without its last chunk`);
    at += 12 + view.getUint32(at);
  }
  return { format: 'png', width: view.getUint32(16), height: view.getUint32(20) };
}

/** Markers ff xx, most followed by a length u16 and data; scans of entropy-coded bytes; ff d9 last (ITU-T T.81, B.1). */
function readJpeg(bytes: Uint8Array, file: string): ImageHeader {
  const view = viewOf(bytes);
  let header: ImageHeader | undefined;
  let at = 2;
  for (;;) {
    // To the next marker: in a scan, ff 00 is a byte and ff d0 … ff d7 divide it; ff ff pads.
    for (;;) {
      at = bytes.indexOf(0xff, at);
      if (at < 0 || at + 1 >= bytes.length)
        throw truncated(file, 'JPEG', `it ends after ${bytes.length} bytes without its end marker`);
      const next = bytes[at + 1]!;
      if (next !== 0 && next !== 0xff && !(next >= 0xd0 && next <= 0xd7)) break;
      at += next === 0xff ? 1 : 2;
    }
    const marker = bytes[at + 1]!;
    if (marker === 0xd9) break;
    // Frame headers: c0 … cf but for Huffman tables, a reserved one and arithmetic conditioning.
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (isFrame && at + 10 <= bytes.length) {
      header ??= {
        format: 'jpeg',
        height: view.getUint16(at + 5),
        width: view.getUint16(at + 7),
        components: bytes[at + 9]!,
      };
    }
    if (at + 4 > bytes.length) throw truncated(file, 'JPEG', 'it ends within a segment');
    at += 2 + view.getUint16(at + 2);
  }
  if (header === undefined) throw new ImageError(file, 'corrupt', 'the JPEG has no frame. Export the picture again.');
  return header;
}

/** RIFF with its size, then a chunk VP8 , VP8L or VP8X (https://developers.google.com/speed/webp/docs/riff_container). */
function readWebp(bytes: Uint8Array, file: string): ImageHeader {
  const view = viewOf(bytes);
  const size = view.getUint32(4, true) + 8;
  if (bytes.length < 30 || bytes.length < size)
    throw truncated(file, 'WebP', `its header says ${size} bytes, but there are ${bytes.length}`);
  const u24 = (at: number) => view.getUint16(at, true) | (bytes[at + 2]! << 16);
  if (startsWith(bytes, 12, 'VP8X')) return { format: 'webp', width: u24(24) + 1, height: u24(27) + 1 };
  if (startsWith(bytes, 12, 'VP8L')) {
    const bits = view.getUint32(21, true);
    return { format: 'webp', width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1 };
  }
  if (startsWith(bytes, 12, 'VP8 ')) {
    return { format: 'webp', width: view.getUint16(26, true) & 0x3fff, height: view.getUint16(28, true) & 0x3fff };
  }
  throw new ImageError(file, 'corrupt', 'the WebP starts with no picture. Export it again.');
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
