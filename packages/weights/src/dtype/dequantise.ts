import { byteLength, type DType, dtypeInfo, type QuantDType } from '@lapidary/kernels/dtype';
import { f16ToNumber } from './floats.js';
import { nf4Values } from './nf4.js';
import { wordsOf } from './non-finite.js';

type BlockReader = (block: DataView, values: Float32Array) => void;

/**
 * The values of `bytes` as float32. Written to be compared with the published layouts line by line
 * (https://github.com/ggml-org/ggml, `ggml-quants.c`), not to be fast.
 * @param bytes little-endian, a whole number of blocks. @throws {RangeError} otherwise.
 */
export function dequantise(dtype: DType, bytes: Uint8Array): Float32Array {
  const { blockBytes, blockSize } = dtypeInfo[dtype];
  if (bytes.length % blockBytes !== 0) {
    throw new RangeError(`${bytes.length} bytes of ${dtype} are no whole number of blocks of ${blockBytes}`);
  }
  const blocks = bytes.length / blockBytes;
  const values = new Float32Array(blocks * blockSize);
  if (dtype === 'bf16') {
    widen(bytes, values);
    return values;
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const reader = plain[dtype as keyof typeof plain];
  if (reader !== undefined) {
    for (let i = 0; i < blocks; i++) values[i] = reader(view, i * blockBytes);
    return values;
  }
  const readBlock = quantised[dtype as keyof typeof quantised];
  for (let i = 0; i < blocks; i++) {
    const block = new DataView(bytes.buffer, bytes.byteOffset + i * blockBytes, blockBytes);
    readBlock(block, values.subarray(i * blockSize, (i + 1) * blockSize));
  }
  return values;
}

/** bf16 is the upper half of a float32. What models are published in, by the billion: two at a time. */
function widen(bytes: Uint8Array, values: Float32Array): void {
  const pairs = wordsOf(bytes);
  const bits = new Uint32Array(values.buffer);
  for (let i = 0; i < bits.length; i++) bits[i] = i & 1 ? pairs[i >> 1]! & 0xffff0000 : pairs[i >> 1]! << 16;
}

/** A half of each value 0…65535, made when first needed: files hold them by the hundred million. */
let halves: Float32Array | undefined;
function f16(view: DataView, at: number): number {
  halves ??= Float32Array.from({ length: 65536 }, (_, half) => f16ToNumber(half));
  return halves[view.getUint16(at, true)] as number;
}

const plain = {
  f32: (view: DataView, at: number) => view.getFloat32(at, true),
  f16,
  i32: (view: DataView, at: number) => view.getInt32(at, true),
  u32: (view: DataView, at: number) => view.getUint32(at, true),
};

const low = (byte: number) => byte & 15;
const high = (byte: number) => byte >> 4;

/** d f16, 32 4-bit codes: low nibbles first. */
const q4_0: BlockReader = (block, values) => {
  const d = f16(block, 0);
  for (let j = 0; j < 16; j++) {
    const byte = block.getUint8(2 + j);
    values[j] = (low(byte) - 8) * d;
    values[j + 16] = (high(byte) - 8) * d;
  }
};

/** d, m f16, 32 4-bit codes: d·q + m. */
const q4_1: BlockReader = (block, values) => {
  const d = f16(block, 0);
  const m = f16(block, 2);
  for (let j = 0; j < 16; j++) {
    const byte = block.getUint8(4 + j);
    values[j] = low(byte) * d + m;
    values[j + 16] = high(byte) * d + m;
  }
};

/** d, m f16, 32 fifth bits, 32 4-bit codes: d·q + m. */
const q5_1: BlockReader = (block, values) => {
  const d = f16(block, 0);
  const m = f16(block, 2);
  const fifth = block.getUint32(4, true);
  for (let j = 0; j < 16; j++) {
    const byte = block.getUint8(8 + j);
    values[j] = (low(byte) | (((fifth >>> j) & 1) << 4)) * d + m;
    values[j + 16] = (high(byte) | (((fifth >>> (j + 16)) & 1) << 4)) * d + m;
  }
};

/** d f16, 32 fifth bits, 32 4-bit codes. */
const q5_0: BlockReader = (block, values) => {
  const d = f16(block, 0);
  const fifth = block.getUint32(2, true);
  for (let j = 0; j < 16; j++) {
    const byte = block.getUint8(6 + j);
    values[j] = ((low(byte) | (((fifth >>> j) & 1) << 4)) - 16) * d;
    values[j + 16] = ((high(byte) | (((fifth >>> (j + 16)) & 1) << 4)) - 16) * d;
  }
};

/** d f16, 32 signed bytes. */
const q8_0: BlockReader = (block, values) => {
  const d = f16(block, 0);
  for (let j = 0; j < 32; j++) values[j] = block.getInt8(2 + j) * d;
};

/** Code `j` of 256 of 2 bits in 64 bytes from `at` on: two halves, in each of which 32 bytes hold four runs of 32. */
const twoBits = (block: DataView, at: number, j: number) =>
  (block.getUint8(at + (j >> 7) * 32 + (j & 31)) >> (((j >> 5) & 3) * 2)) & 3;

/** 16 scales and minima of 4 bits, 256 2-bit codes, d, dmin f16 last: d·scale·q − dmin·min. */
const q2_k: BlockReader = (block, values) => {
  const d = f16(block, 80);
  const dmin = f16(block, 82);
  for (let j = 0; j < 256; j++) {
    const both = block.getUint8(j >> 4);
    const step = Math.fround(d * low(both));
    values[j] = Math.fround(step * twoBits(block, 16, j)) - Math.fround(dmin * high(both));
  }
};

/** 256 third bits, 256 2-bit codes, 16 scales of 6 bits in 12 bytes, d f16 last: d·(scale − 32)·(q − 4). */
const q3_k: BlockReader = (block, values) => {
  const d = f16(block, 108);
  for (let j = 0; j < 256; j++) {
    const s = j >> 4;
    const lower = (block.getUint8(96 + (s & 7)) >> ((s >> 3) * 4)) & 15;
    const upper = (block.getUint8(104 + (s & 3)) >> ((s >> 2) * 2)) & 3;
    const third = (block.getUint8(j & 31) >> (j >> 5)) & 1;
    const scale = (lower | (upper << 4)) - 32;
    values[j] = Math.fround(d * scale) * ((twoBits(block, 32, j) | (third << 2)) - 4);
  }
};

/** Scale and minimum `j` of 8, 6 bits each in 12 bytes from `at` on. */
function scaleAndMin(block: DataView, at: number, j: number): [number, number] {
  const s = (i: number) => block.getUint8(at + i);
  if (j < 4) return [s(j) & 63, s(j + 4) & 63];
  return [low(s(j + 4)) | ((s(j - 4) >> 6) << 4), high(s(j + 4)) | ((s(j) >> 6) << 4)];
}

/** d, dmin f16, 12 bytes of scales, 256 4-bit codes: d·scale·q − dmin·min. */
const q4_k: BlockReader = (block, values) => readK(block, values, 16, () => 0);

/** As q4_k with 256 fifth bits before the codes: bit `pair` of byte l. */
const q5_k: BlockReader = (block, values) =>
  readK(block, values, 48, (pair, l) => ((block.getUint8(16 + l) >> pair) & 1) << 4);

function readK(block: DataView, values: Float32Array, codes: number, fifth: (pair: number, l: number) => number): void {
  const d = f16(block, 0);
  const dmin = f16(block, 2);
  for (let pair = 0; pair < 8; pair++) {
    const [scale, min] = scaleAndMin(block, 4, pair);
    // Rounded to float32 after each product, as ggml computes.
    const step = Math.fround(d * scale);
    const base = Math.fround(dmin * min);
    for (let l = 0; l < 32; l++) {
      const byte = block.getUint8(codes + (pair >> 1) * 32 + l);
      const q = (pair % 2 === 0 ? low(byte) : high(byte)) + fifth(pair, l);
      values[pair * 32 + l] = Math.fround(step * q) - base;
    }
  }
}

/** 256 low nibbles, 256 upper pairs of bits, 16 signed scales, d f16 last: d·scale·(q − 32). */
const q6_k: BlockReader = (block, values) => {
  const d = f16(block, 208);
  for (let half = 0; half < 2; half++) {
    for (let part = 0; part < 4; part++) {
      for (let l = 0; l < 32; l++) {
        const byte = block.getUint8(half * 64 + (part % 2) * 32 + l);
        const upper = (block.getUint8(128 + half * 32 + l) >> (2 * part)) & 3;
        const q = ((part < 2 ? low(byte) : high(byte)) | (upper << 4)) - 32;
        const scale = block.getInt8(192 + half * 8 + (l >> 4) + part * 2);
        values[half * 128 + part * 32 + l] = Math.fround(d * scale) * q;
      }
    }
  }
};

/** What the 4-bit codes of IQ4_NL and IQ4_XS stand for. */
const iq4Values = Float32Array.of(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113);

/** d f16, 32 4-bit codes of a table. */
const iq4_nl: BlockReader = (block, values) => {
  const d = f16(block, 0);
  for (let j = 0; j < 16; j++) {
    const byte = block.getUint8(2 + j);
    values[j] = d * iq4Values[low(byte)]!;
    values[j + 16] = d * iq4Values[high(byte)]!;
  }
};

/** d f16, upper 2 bits of 8 scales, their lower 4, 256 4-bit codes of a table: d·(scale − 32)·value. */
const iq4_xs: BlockReader = (block, values) => {
  const d = f16(block, 0);
  const upper = block.getUint16(2, true);
  const lower = block.getUint32(4, true);
  for (let s = 0; s < 8; s++) {
    const scale = (((lower >>> (4 * s)) & 15) | (((upper >> (2 * s)) & 3) << 4)) - 32;
    const step = Math.fround(d * scale);
    for (let l = 0; l < 16; l++) {
      const byte = block.getUint8(8 + s * 16 + l);
      values[s * 32 + l] = step * iq4Values[low(byte)]!;
      values[s * 32 + l + 16] = step * iq4Values[high(byte)]!;
    }
  }
};

/** The largest of 64 values f32, their 4-bit codes of a table: high nibbles first. */
const nf4: BlockReader = (block, values) => {
  const largest = block.getFloat32(0, true);
  for (let j = 0; j < 32; j++) {
    const byte = block.getUint8(4 + j);
    values[2 * j] = largest * nf4Values[high(byte)]!;
    values[2 * j + 1] = largest * nf4Values[low(byte)]!;
  }
};

const quantised: Readonly<Record<QuantDType, BlockReader>> = {
  q4_0,
  q4_1,
  q5_0,
  q5_1,
  q8_0,
  q2_k,
  q3_k,
  q4_k,
  q5_k,
  q6_k,
  iq4_nl,
  iq4_xs,
  nf4,
};

/** Bytes of a tensor, or undefined where its rows are no whole number of blocks. */
export function tensorBytes(dtype: DType, shape: readonly number[]): number | undefined {
  const row = shape.at(-1) ?? 1;
  if (row % dtypeInfo[dtype].blockSize !== 0) return undefined;
  return byteLength(
    dtype,
    shape.reduce((product, size) => product * size, 1),
  );
}
