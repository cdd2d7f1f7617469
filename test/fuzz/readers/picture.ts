import { decodeImage } from '@lapidary/gemma';
import { fixtureBytes } from '../../support/safetensors-fixture.js';
import { brokenBytes, joined } from '../byte-writer.js';
import type { Dice } from '../dice.js';
import { type FuzzReader, mustHold } from '../reader.js';

const names = [
  'tiny.png',
  'grey.png',
  'palette.png',
  'rgb.png',
  'grey.jpg',
  'rotated.jpg',
  'progressive.jpg',
  'lossy.webp',
];

/** Where the numbers of a picture's structure are: lengths, sizes, kinds. */
function structure(bytes: Uint8Array): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const places: number[] = [];
  if (bytes[0] === 0x89) {
    for (let at = 8; at + 12 <= bytes.length; at += 12 + view.getUint32(at)) places.push(at, at + 4, at + 8, at + 12);
    return places;
  }
  if (bytes[0] === 0xff) {
    for (let at = 2; at + 4 <= bytes.length && bytes[at] === 0xff; at += 2 + view.getUint16(at + 2))
      places.push(at, at + 2, at + 4, at + 6, at + 8);
    return places;
  }
  for (let at = 12; at + 8 <= bytes.length; at += 8 + view.getUint32(at + 4, true))
    places.push(at, at + 4, at + 8, at + 12);
  return [4, ...places];
}

function broken(bytes: Uint8Array, dice: Dice): Uint8Array {
  const copy = bytes.slice();
  const places = structure(bytes);
  for (let i = dice.pick([0, 1, 1, 2, 3]); i > 0; i--) {
    const at = dice.pick(places) + dice.below(4);
    if (at < copy.length) copy[at] = dice.pick([0, 1, 2, 6, 8, 0x7f, 0x80, 0xff, dice.below(256)]);
  }
  return copy;
}

/** The Exif data of a JPEG or WebP: a directory of one entry, with numbers of all kinds. */
function exif(dice: Dice): Uint8Array {
  const isLittle = dice.chance(0.5);
  const bytes = new Uint8Array(26);
  const view = new DataView(bytes.buffer);
  bytes.set(isLittle ? [0x49, 0x49] : [0x4d, 0x4d]);
  view.setUint16(2, 42, isLittle);
  view.setUint32(4, dice.pick([8, 8, 8, 0, 7, 25, 26, 0xffffffff]), isLittle);
  view.setUint16(8, dice.pick([1, 1, 0, 2, 0xffff]), isLittle);
  view.setUint16(10, dice.pick([0x0112, 0x0112, 0x0100]), isLittle);
  view.setUint16(12, dice.pick([3, 3, 4, 0xffff]), isLittle);
  view.setUint32(14, dice.pick([1, 1, 0xffffffff]), isLittle);
  view.setUint16(18, dice.pick([1, 2, 6, 8, 9, 0, 0xffff]), isLittle);
  return bytes;
}

/** With Exif data: after a JPEG's first marker, or as the last chunk of a WebP. */
function withExif(bytes: Uint8Array, dice: Dice): Uint8Array {
  const data = exif(dice);
  if (bytes[0] === 0xff) {
    const head = Uint8Array.of(0xff, 0xe1, 0, data.length + 8, 0x45, 0x78, 0x69, 0x66, 0, 0);
    return joined(bytes.subarray(0, 2), head, data, bytes.subarray(2));
  }
  if (bytes[0] !== 0x52) return bytes;
  const chunk = joined(Uint8Array.of(0x45, 0x58, 0x49, 0x46, data.length, 0, 0, 0), data);
  const whole = joined(bytes, chunk);
  new DataView(whole.buffer).setUint32(4, whole.length - 8, true);
  return whole;
}

/** PNG, JPEG and WebP, up to their pixels. */
export async function pictureReader(): Promise<FuzzReader> {
  const pictures = await Promise.all(names.map((name) => fixtureBytes(`images/${name}`)));
  return {
    name: 'picture',
    make(dice) {
      const whole = dice.pick(pictures);
      const turned = dice.chance(0.3) ? withExif(whole, dice) : whole;
      return { picture: brokenBytes(broken(turned, dice), dice) };
    },
    async read({ picture = new Uint8Array() }) {
      const { width, height, data } = await decodeImage(picture, { name: 'picture' });
      mustHold(width > 0 && height > 0 && data.length === width * height * 3, `it has ${data.length} bytes of pixels`);
    },
  };
}
