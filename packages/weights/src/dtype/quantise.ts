import type { DType } from '@lapidary/kernels/dtype';
import { numberToF16 } from './floats.js';

/** Types of blocks that values can be written as. */
export type WrittenQuantDType = 'q8_0' | 'q4_0';

const size = 32;

const writers: Readonly<
  Record<
    WrittenQuantDType,
    { readonly bytes: number; write(values: Float32Array, from: number, block: DataView): void }
  >
> = {
  // d f16, 32 signed bytes; halves away from zero.
  q8_0: {
    bytes: 34,
    write(values, from, block) {
      let most = 0;
      for (let i = 0; i < size; i++) most = Math.max(most, Math.abs(values[from + i]!));
      const d = Math.fround(most / 127);
      const inverse = d === 0 ? 0 : Math.fround(1 / d);
      block.setUint16(0, numberToF16(d), true);
      for (let i = 0; i < size; i++) {
        const scaled = Math.fround(values[from + i]! * inverse);
        const whole = Math.floor(Math.abs(scaled));
        const rounded = whole + Math.floor(2 * (Math.abs(scaled) - whole));
        block.setInt8(2 + i, scaled < 0 ? -rounded : rounded);
      }
    },
  },
  // d f16, 32 4-bit codes, low nibbles first; the value that is furthest from 0 becomes −8.
  q4_0: {
    bytes: 18,
    write(values, from, block) {
      let furthest = values[from]!;
      for (let i = 1; i < size; i++) if (Math.abs(values[from + i]!) > Math.abs(furthest)) furthest = values[from + i]!;
      const d = Math.fround(furthest / -8);
      const inverse = d === 0 ? 0 : Math.fround(1 / d);
      block.setUint16(0, numberToF16(d), true);
      const code = (i: number) => {
        const scaled = Math.fround(Math.fround(values[from + i]! * inverse) + 8.5);
        return Math.min(15, Math.max(0, Math.trunc(scaled)));
      };
      for (let i = 0; i < size / 2; i++) block.setUint8(2 + i, code(i) | (code(i + size / 2) << 4));
    },
  },
};

/** Whether `quantise` writes this type. */
export function isWrittenQuant(dtype: DType): dtype is WrittenQuantDType {
  return Object.hasOwn(writers, dtype);
}

/**
 * Blocks of 32 values, bit for bit as the `gguf` package of llama.cpp makes them (`gguf-py/gguf/quants.py`).
 * @throws {RangeError} for values that are no whole number of blocks
 */
export function quantise(dtype: WrittenQuantDType, values: Float32Array): Uint8Array {
  if (values.length % size !== 0)
    throw new RangeError(`${values.length} values are no whole number of ${dtype} blocks of ${size}`);
  const { bytes, write } = writers[dtype];
  const out = new Uint8Array((values.length / size) * bytes);
  for (let i = 0; i < values.length / size; i++) write(values, i * size, new DataView(out.buffer, i * bytes, bytes));
  return out;
}
