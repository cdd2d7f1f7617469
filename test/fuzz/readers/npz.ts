import { openNpz } from '@lapidary/weights';
import { ByteWriter } from '../byte-writer.js';
import type { Dice } from '../dice.js';
import { changedText } from '../mutate-json.js';
import { encode, type FuzzReader, mustHold, sourceOf } from '../reader.js';
import { checkPlaces } from './safetensors.js';

const dtypes: readonly (readonly [descr: string, bytes: number])[] = [
  ['<f4', 4],
  ['<f4', 4],
  ['<f4', 4],
  ['<f4', 4],
  ['<f2', 2],
  ['|V2', 2],
  ['<V2', 2],
  ['|b1', 1],
  ['|u1', 1],
  ['<i8', 8],
  ['<f8', 8],
  ['>f4', 4],
  ['|O', 8],
  ['<U4', 16],
];

interface Part {
  readonly name: string;
  readonly npy: Uint8Array;
}

function makePart(dice: Dice, index: number): Part {
  const [descr, bytes] = dice.pick(dtypes);
  const shape = dice.list(dice.below(4), () => dice.below(4));
  const listed = shape.length === 1 ? `${shape[0]},` : shape.join(', ');
  const order = dice.chance(0.97) ? 'False' : 'True';
  const written = `{'descr': '${descr}', 'fortran_order': ${order}, 'shape': (${listed}), }`;
  const header = dice.chance(0.08) ? changedText(written, dice) : written;
  const version = dice.pick([1, 1, 1, 2, 3]);
  const start = version === 1 ? 10 : 12;
  const padded = `${header.padEnd(Math.ceil((header.length + start + 1) / 64) * 64 - start - 1)}\n`;
  const text = encode(padded);
  const npy = new ByteWriter().bytes(Uint8Array.of(0x93)).text('NUMPY').number(1, version).number(1, 0);
  npy.number(version === 1 ? 2 : 4, text.length).bytes(text);
  npy.bytes(new Uint8Array(shape.reduce((product, length) => product * length, bytes)));
  const name = dice.chance(0.9)
    ? `a/b${index}.npy`
    : dice.pick(['a/b0.npy', 'x.txt', '../x.npy', '.npy', `${dice.text()}.npy`]);
  return { name, npy: dice.chance(0.1) ? npy.broken(dice) : npy.plain() };
}

export const npzReader: FuzzReader = {
  name: 'npz',
  make(dice) {
    const zip = new ByteWriter();
    const parts = dice.list(dice.below(4), (i) => makePart(dice, i));
    const places: number[] = [];
    const isWide = dice.chance(0.3);
    for (const { name, npy } of parts) {
      places.push(zip.length);
      const spelled = encode(name);
      zip
        .number(4, 0x04034b50)
        .number(2, 20)
        .number(2, dice.chance(0.98) ? 0 : dice.below(0x3000));
      zip
        .number(2, dice.chance(0.98) ? 0 : 8)
        .number(4, 0)
        .number(4, 7);
      for (let i = 0; i < 2; i++) zip.number(4, isWide ? 0xffffffff : npy.length);
      zip
        .number(2, spelled.length)
        .number(2, isWide ? 20 : 0)
        .bytes(spelled);
      if (isWide) zip.number(2, 1).number(2, 16).number(8, npy.length).number(8, npy.length);
      zip.bytes(npy);
    }
    const start = zip.length;
    const named = dice.chance(0.05) ? [...parts, ...parts.slice(0, 1)] : parts;
    named.forEach(({ name, npy }, i) => {
      const spelled = encode(name);
      zip.number(4, 0x02014b50).number(2, 20).number(2, 20).number(2, 0).number(2, 0).number(4, 0).number(4, 7);
      zip.number(4, npy.length).number(4, npy.length).number(2, spelled.length).number(2, 0).number(2, 0);
      zip
        .number(2, 0)
        .number(2, 0)
        .number(4, 0)
        .number(4, dice.chance(0.98) ? (places[i] ?? 0) : dice.below(start + 1));
      zip.bytes(spelled);
    });
    const size = zip.length - start;
    if (isWide) {
      const at = zip.length;
      zip.number(4, 0x06064b50).number(8, 44).number(2, 45).number(2, 45).number(4, 0).number(4, 0);
      zip.number(8, named.length).number(8, named.length).number(8, size).number(8, start);
      zip.number(4, 0x07064b50).number(4, 0).number(8, at).number(4, 1);
    }
    zip.number(4, 0x06054b50).number(2, 0).number(2, 0).number(2, named.length).number(2, named.length);
    zip.number(4, size).number(4, start).number(2, 0);
    return { 'model.npz': zip.broken(dice) };
  },
  async read({ 'model.npz': bytes = new Uint8Array() }) {
    const { tensors } = await openNpz(sourceOf('model.npz', bytes));
    checkPlaces(tensors, bytes.length);
    for (const { shape } of tensors.values())
      mustHold(
        shape.every((length) => length >= 0),
        'a size is negative',
      );
  },
};
