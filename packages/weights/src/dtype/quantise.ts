import { type DType, dtypeInfo } from '@lapidary/kernels/dtype';
import { numberToF16 } from './floats.js';
import { nf4Code } from './nf4.js';

/** Types of blocks that values can be written as. */
export type WrittenQuantDType = 'q8_0' | 'q4_0' | 'nf4';

type BlockWriter = (values: Float32Array, bits: Int32Array, out: Uint8Array) => void;

const magnitude = 0x7fffffff;
/** What bitsandbytes divides by at least. */
const smallest = Math.fround(1e-38);

// Sizes are compared as whole numbers, and signs are added as ones: without branches that nobody could foresee.
const writers: Readonly<Record<WrittenQuantDType, BlockWriter>> = {
  // d f16, 32 signed bytes; halves away from zero.
  q8_0(values, bits, out) {
    for (let from = 0, at = 0; from < values.length; from += 32, at += 34) {
      const d = Math.fround(Math.abs(values[furthest(bits, from, 32)]!) / 127);
      const inverse = d === 0 ? 0 : Math.fround(1 / d);
      writeHalf(out, at, d);
      for (let i = 0; i < 32; i++)
        out[at + 2 + i] = (Math.fround(values[from + i]! * inverse) + 0.5 + (bits[from + i]! >> 31)) | 0;
    }
  },
  // d f16, 32 4-bit codes, low nibbles first; the value that is furthest from 0 becomes −8.
  q4_0(values, bits, out) {
    for (let from = 0, at = 0; from < values.length; from += 32, at += 18) {
      const d = Math.fround(values[furthest(bits, from, 32)]! / -8);
      const inverse = d === 0 ? 0 : Math.fround(1 / d);
      writeHalf(out, at, d);
      for (let i = 0; i < 16; i++)
        out[at + 2 + i] = fourBits(values[from + i]! * inverse) | (fourBits(values[from + i + 16]! * inverse) << 4);
    }
  },
  // The largest of 64 values f32, their 4-bit codes, high nibbles first.
  nf4(values, bits, out) {
    const scales = new DataView(out.buffer);
    for (let from = 0, at = 0; from < values.length; from += 64, at += 36) {
      const largest = Math.abs(values[furthest(bits, from, 64)]!);
      const inverse = Math.fround(1 / Math.max(largest, smallest));
      scales.setFloat32(at, largest, true);
      for (let i = 0; i < 32; i++) {
        const high = nf4Code(Math.fround(values[from + 2 * i]! * inverse));
        out[at + 4 + i] = (high << 4) | nf4Code(Math.fround(values[from + 2 * i + 1]! * inverse));
      }
    }
  },
};

/** Where, of so many values from `from` on, the first is that is furthest from 0. */
function furthest(bits: Int32Array, from: number, count: number): number {
  let most = 0;
  for (let i = from; i < from + count; i++) most = Math.max(most, bits[i]! & magnitude);
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
 * Blocks of values, bit for bit as the `gguf` package of llama.cpp makes them (`gguf-py/gguf/quants.py`), of NF4 as bitsandbytes does, its
 * scales in f32 (no double quantisation).
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
