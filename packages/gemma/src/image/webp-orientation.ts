/** EXIF's orientation: 1 upright; 2 … 8 mirrored or turned. */
export type Orientation = 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8;

/**
 * Takes the EXIF data out of a WebP, and tells the orientation it gives: browsers differ on whether they turn such a picture
 * (Chromium 156 does not), so that nobody but us shall see it. Bytes without EXIF data are returned as they are.
 */
export function takeWebpOrientation(webp: Uint8Array): { bytes: Uint8Array; orientation: Orientation } {
  const view = new DataView(webp.buffer, webp.byteOffset, webp.byteLength);
  // RIFF, size, WEBP; then chunks: four letters, size u32, data, padded to an even length.
  for (let at = 12; at + 8 <= webp.length; ) {
    const size = view.getUint32(at + 4, true);
    const end = at + 8 + size;
    if (view.getUint32(at) === EXIF && end <= webp.length) {
      const bytes = webp.slice();
      // A chunk of an unknown name: readers pass over it.
      new DataView(bytes.buffer).setUint32(at, UNUSED);
      return { bytes, orientation: orientationOf(webp.subarray(at + 8, end)) };
    }
    at = end + (size % 2);
  }
  return { bytes: webp, orientation: 1 };
}

const EXIF = 0x45584946;
const UNUSED = 0x58585858;
const orientationTag = 0x0112;

/** TIFF: byte order, 42, the first directory's position; there a count and entries of 12 bytes: tag, type, count, value (EXIF 2.32, 4.5). */
function orientationOf(exif: Uint8Array): Orientation {
  // Some writers put JPEG's prefix before it.
  const prefix = String.fromCharCode(...exif.subarray(0, 4)) === 'Exif' ? 6 : 0;
  const view = new DataView(exif.buffer, exif.byteOffset + prefix, Math.max(0, exif.byteLength - prefix));
  if (view.byteLength < 8) return 1;
  const little = view.getUint16(0) === 0x4949;
  const directory = view.getUint32(4, little);
  if (directory + 2 > view.byteLength) return 1;
  const count = view.getUint16(directory, little);
  for (let i = 0, at = directory + 2; i < count && at + 12 <= view.byteLength; i++, at += 12) {
    if (view.getUint16(at, little) !== orientationTag) continue;
    const value = view.getUint16(at + 8, little);
    return value >= 1 && value <= 8 ? (value as Orientation) : 1;
  }
  return 1;
}
