import { openSafetensors, type StoredTensor } from '@lapidary/weights';
import { brokenBytes, joined } from '../byte-writer.js';
import type { Dice } from '../dice.js';
import { brokenJson, type Json } from '../mutate-json.js';
import { encode, type FuzzReader, mustHold, sourceOf } from '../reader.js';

const bytesOf: Readonly<Record<string, number>> = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E5M2: 1,
  F8_E4M3: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  F64: 8,
  I64: 8,
  U64: 8,
};

/** A header whose tensors lie one after the other, and how many bytes they take. */
function makeHeader(dice: Dice): { header: { [key: string]: Json }; size: number } {
  const header: { [key: string]: Json } = {};
  if (dice.chance(0.3)) header['__metadata__'] = { format: 'pt' };
  let size = 0;
  for (let i = dice.below(5); i > 0; i--) {
    const dtype = dice.pick(Object.keys(bytesOf));
    const shape = dice.list(dice.below(4), () => dice.below(5));
    const bytes = shape.reduce((product, length) => product * length, bytesOf[dtype] as number);
    header[`t${i}${dice.chance(0.1) ? dice.text() : ''}`] = { dtype, shape, data_offsets: [size, size + bytes] };
    size += bytes;
  }
  return { header, size };
}

/** A safetensors file around the text of a header. */
export function safetensorsFile(header: string, data: Uint8Array, length?: bigint): Uint8Array {
  const text = encode(header);
  const start = new Uint8Array(8);
  new DataView(start.buffer).setBigUint64(0, BigInt.asUintN(64, length ?? BigInt(text.length)), true);
  return joined(start, text, data);
}

/** @throws Error where two tensors, or a tensor and the end of the file, meet */
export function checkPlaces(tensors: ReadonlyMap<string, StoredTensor>, size: number): void {
  let end = 0;
  for (const { name, offset, byteLength } of [...tensors.values()].sort(
    (a, b) => a.offset - b.offset || a.byteLength - b.byteLength,
  )) {
    mustHold(
      Number.isSafeInteger(offset) && Number.isSafeInteger(byteLength) && byteLength >= 0,
      `${name} lies nowhere`,
    );
    mustHold(offset >= end, `${name} overlaps another`);
    end = offset + byteLength;
    mustHold(end <= size, `${name} ends after the file`);
  }
}

export const safetensorsReader: FuzzReader = {
  name: 'safetensors',
  make(dice) {
    const { header, size } = makeHeader(dice);
    const text = brokenJson(header, dice) + ' '.repeat(dice.pick([0, 0, 3, 8]));
    const data = new Uint8Array(Math.max(0, size + dice.pick([0, 0, 0, 0, 0, 0, 1, -1, 8])));
    const length = dice.chance(0.1)
      ? dice.pick([0n, 1n, BigInt(text.length) + 1n, BigInt(text.length) - 1n, 100_000_001n, 2n ** 63n, 2n ** 64n - 1n])
      : undefined;
    return { 'model.safetensors': brokenBytes(safetensorsFile(text, data, length), dice) };
  },
  async read({ 'model.safetensors': bytes = new Uint8Array() }) {
    const { tensors, metadata } = await openSafetensors(sourceOf('model.safetensors', bytes));
    checkPlaces(tensors, bytes.length);
    mustHold(
      Object.values(metadata).every((value) => typeof value === 'string'),
      'its metadata are no texts',
    );
  },
};
