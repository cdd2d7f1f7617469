/** A file's parts, one after another; texts as ASCII. */
export function joined(...parts: (Uint8Array | readonly number[] | string)[]): Uint8Array<ArrayBuffer> {
  const bytes = parts.flatMap((part) => [...(typeof part === 'string' ? new TextEncoder().encode(part) : part)]);
  return Uint8Array.from(bytes);
}

const bigEndian = (value: number) => [24, 16, 8, 0].map((shift) => (value >>> shift) & 255);
const littleEndian = (value: number, count = 4) => Array.from({ length: count }, (_, i) => (value >>> (8 * i)) & 255);

function crc32(bytes: Uint8Array): number {
  let crc = -1;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

/** A PNG of the bytes of its rows: grey (0), RGB (2), grey with alpha (4) or RGBA (6). */
export async function pngOf(
  channels: 0 | 2 | 4 | 6,
  depth: number,
  rows: readonly ArrayLike<number>[],
  { width = 2, height = 1 } = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const filtered = joined(...rows.map((row) => [0, ...Array.from(row)]));
  const deflated = new Blob([filtered]).stream().pipeThrough(new CompressionStream('deflate'));
  const data = new Uint8Array(await new Response(deflated).arrayBuffer());
  const chunk = (type: string, content: readonly number[] | Uint8Array) => {
    const body = joined(type, content);
    return joined(bigEndian(content.length), body, bigEndian(crc32(body)));
  };
  return joined(
    [0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10],
    chunk('IHDR', [...bigEndian(width), ...bigEndian(height), depth, channels, 0, 0, 0]),
    chunk('IDAT', data),
    chunk('IEND', []),
  );
}

/** A WebP of one chunk, with EXIF data that state its orientation. */
export function withWebpOrientation(
  webp: Uint8Array,
  { width, height }: { width: number; height: number },
  orientation: number,
): Uint8Array<ArrayBuffer> {
  const chunk = (type: string, content: readonly number[]) =>
    joined(type, littleEndian(content.length), content, content.length % 2 === 1 ? [0] : []);
  const entry = [...littleEndian(0x0112, 2), ...littleEndian(3, 2), ...littleEndian(1), ...littleEndian(orientation)];
  const exif = joined('II*\0', littleEndian(8), littleEndian(1, 2), entry, littleEndian(0));
  const size = [...littleEndian(width - 1, 3), ...littleEndian(height - 1, 3)];
  const body = joined('WEBP', chunk('VP8X', [8, 0, 0, 0, ...size]), webp.subarray(12), chunk('EXIF', [...exif]));
  return joined('RIFF', littleEndian(body.length), body);
}

/** A JPEG whose frame says that it has other sides. */
export function jpegOfSize(jpeg: Uint8Array, side: number): Uint8Array<ArrayBuffer> {
  const at = jpeg.findIndex((byte, i) => byte === 0xff && [0xc0, 0xc1, 0xc2].includes(jpeg[i + 1] ?? 0));
  const sides = [side >> 8, side & 255, side >> 8, side & 255];
  return joined(jpeg.subarray(0, at + 5), sides, jpeg.subarray(at + 9));
}

/** A WebP animation of one picture, again and again, on a canvas of these sides. */
export function animatedWebp(
  webp: Uint8Array,
  { width, height, frames }: { width: number; height: number; frames: number },
): Uint8Array<ArrayBuffer> {
  const chunk = (type: string, content: readonly number[]) => joined(type, littleEndian(content.length), content);
  const size = [...littleEndian(width - 1, 3), ...littleEndian(height - 1, 3)];
  const still = [...webp.subarray(12)];
  const frame = chunk('ANMF', [...littleEndian(0, 6), ...size, ...littleEndian(9, 3), 0, ...still]);
  const head = joined('WEBP', chunk('VP8X', [2, 0, 0, 0, ...size]), chunk('ANIM', littleEndian(0, 6)));
  const body = new Uint8Array(head.length + frames * frame.length);
  body.set(head);
  for (let i = 0; i < frames; i++) body.set(frame, head.length + i * frame.length);
  const whole = new Uint8Array(8 + body.length);
  whole.set(joined('RIFF', littleEndian(body.length)));
  whole.set(body, 8);
  return whole;
}
