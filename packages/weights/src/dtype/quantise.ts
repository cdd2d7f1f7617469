import { type DType, dtypeInfo } from '@lapidary/kernels/dtype';
import { numberToF16 } from './floats.js';

/** Types of blocks that values can be written as. */
export type WrittenQuantDType = 'q8_0' | 'q4_0';

type BlockWriter = (values: Float32Array, bits: Int32Array, out: Uint8Array) => void;

const magnitude = 0x7fffffff;

// Sizes are compared as whole numbers, and signs are added as ones: without branches that nobody could foresee.
const writers: Readonly<Record<WrittenQuantDType, BlockWriter>> = {
  // d f16, 32 signed bytes; halves away from zero.
  q8_0(values, bits, out) {
    for (let from = 0, at = 0; from < values.length; from += 32, at += 34) {
      const d = Math.fround(Math.abs(values[furthest(bits, from)]!) / 127);
      const inverse = d === 0 ? 0 : Math.fround(1 / d);
      writeHalf(out, at, d);
      for (let i = 0; i < 32; i++)
        out[at + 2 + i] = (Math.fround(values[from + i]! * inverse) + 0.5 + (bits[from + i]! >> 31)) | 0;
    }
  },
  // d f16, 32 4-bit codes, low nibbles first; the value that is furthest from 0 becomes −8.
  q4_0(values, bits, out) {
    for (let from = 0, at = 0; from < values.length; from += 32, at += 18) {
      const d = Math.fround(values[furthest(bits, from)]! / -8);
      const inverse = d === 0 ? 0 : Math.fround(1 / d);
      writeHalf(out, at, d);
      for (let i = 0; i < 16; i++)
        out[at + 2 + i] = fourBits(values[from + i]! * inverse) | (fourBits(values[from + i + 16]! * inverse) << 4);
    }
  },
};

/** Where the first of the 32 values from `from` on is that are furthest from 0. */
function furthest(bits: Int32Array, from: number): number {
  let most = 0;
  for (let i = from; i < from + 32; i++) most = Math.max(most, bits[i]! & magnitude);
  let at = from;
  while ((bits[at]! & magnitude) !== most) at++;
  return at;
}

/** From 0, which the value furthest from 0 has, to 15: 16 would be as far on the other side. */
function fourBits(scaled: number): number {
  return Math.min(15, Math.fround(Math.fround(scaled) + 8.5) | 0);
}

function writeHalf(out: Uint8Array, at: number, value: number): void {
  const half = numberToF16(value);
  out[at] = half & 0xff;
  out[at + 1] = half >> 8;
}

/** Whether `quantise` writes this type. */
export function isWrittenQuant(dtype: DType): dtype is WrittenQuantDType {
  return Object.hasOwn(writers, dtype);
}

/**
 * Blocks of values, bit for bit as the `gguf` package of llama.cpp makes them (`gguf-py/gguf/quants.py`).
 * @throws {RangeError} for values that are no whole number of blocks
 */
export function quantise(dtype: WrittenQuantDType, values: Float32Array): Uint8Array {
  const { blockSize, blockBytes } = dtypeInfo[dtype];
  if (values.length % blockSize !== 0)
    throw new RangeError(`${values.length} values are no whole number of ${dtype} blocks of ${blockSize}`);
  const out = new Uint8Array((values.length / blockSize) * blockBytes);
  writers[dtype](values, new Int32Array(values.buffer, values.byteOffset, values.length), out);
  return out;
}
