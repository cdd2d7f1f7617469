import type { QuantDType } from '../dtype.js';
import { unpackReference } from './convert.js';

/** The values of blocks, after ggml's `dequantize_row_*` (ggml-quants.c); of NF4 as bitsandbytes reads them. */
export function dequantiseReference(dtype: QuantDType, bytes: Uint8Array): Float64Array {
  const { blockBytes, decode } = formats[dtype];
  const values: number[] = [];
  for (let at = 0; at < bytes.length; at += blockBytes) values.push(...decode(bytes.subarray(at, at + blockBytes)));
  return Float64Array.from(values);
}

type Block = Uint8Array;

const half = (b: Block, at: number) => unpackReference(b[at]! | (b[at + 1]! << 8), 'f16');
const signed = (byte: number) => (byte << 24) >> 24;
const range = (n: number) => Array.from({ length: n }, (_, i) => i);
const nibble = (byte: number, high: boolean | number) => (high ? byte >> 4 : byte & 15);

/** Scale and minimum of sub-block j: 6 bits each, packed in 12 bytes. */
function scaleAndMin(q: Block, j: number): [number, number] {
  if (j < 4) return [q[j]! & 63, q[j + 4]! & 63];
  return [(q[j + 4]! & 15) | ((q[j - 4]! >> 6) << 4), (q[j + 4]! >> 4) | ((q[j]! >> 6) << 4)];
}

/** Eight sub-blocks of 32; `quants` from byte `at` on, pairs of sub-blocks in the two nibbles of 32 bytes. */
function fourOrFiveBitK(b: Block, at: number, fifthBit: (value: number, subBlock: number) => number): number[] {
  return range(256).map((i) => {
    const sub = i >> 5;
    const [scale, min] = scaleAndMin(b.subarray(4), sub);
    const q = nibble(b[at + (sub >> 1) * 32 + (i & 31)]!, sub & 1) + 16 * fifthBit(i & 31, sub);
    return half(b, 0) * scale * q - half(b, 2) * min;
  });
}

/** Value i of 256 pairs of bits: two halves of 128, in each of which 32 bytes hold four runs of 32. */
const twoBits = (q: Block, i: number) => (q[(i >> 7) * 32 + (i & 31)]! >> (((i >> 5) & 3) * 2)) & 3;

/** What the codes of IQ4_NL and IQ4_XS stand for. */
const iq4Values = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113] as const;

/** What the codes of NF4 stand for (bitsandbytes). */
const nf4Values = [
  -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
  -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
  0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
] as const;

const formats: Record<QuantDType, { blockBytes: number; decode: (b: Block) => number[] }> = {
  q4_0: { blockBytes: 18, decode: (b) => range(32).map((i) => half(b, 0) * (nibble(b[2 + (i & 15)]!, i >> 4) - 8)) },
  q4_1: {
    blockBytes: 20,
    decode: (b) => range(32).map((i) => half(b, 0) * nibble(b[4 + (i & 15)]!, i >> 4) + half(b, 2)),
  },
  q5_0: {
    blockBytes: 22,
    decode: (b) =>
      range(32).map((i) => {
        const fifth = (b[2 + (i >> 3)]! >> (i & 7)) & 1;
        return half(b, 0) * (nibble(b[6 + (i & 15)]!, i >> 4) + 16 * fifth - 16);
      }),
  },
  q5_1: {
    blockBytes: 24,
    decode: (b) =>
      range(32).map((i) => {
        const fifth = (b[4 + (i >> 3)]! >> (i & 7)) & 1;
        return half(b, 0) * (nibble(b[8 + (i & 15)]!, i >> 4) + 16 * fifth) + half(b, 2);
      }),
  },
  q8_0: { blockBytes: 34, decode: (b) => range(32).map((i) => half(b, 0) * signed(b[2 + i]!)) },
  q2_k: {
    blockBytes: 84,
    decode: (b) =>
      range(256).map((i) => {
        const q = twoBits(b.subarray(16), i);
        const both = b[i >> 4]!;
        return half(b, 80) * nibble(both, 0) * q - half(b, 82) * nibble(both, 1);
      }),
  },
  q3_k: {
    blockBytes: 110,
    decode: (b) =>
      range(256).map((i) => {
        const third = (b[i & 31]! >> (i >> 5)) & 1;
        // Scale number s: the low four bits of all in 8 bytes, then the high two in 4.
        const s = i >> 4;
        const scale = nibble(b[96 + (s & 7)]!, s >> 3) + 16 * ((b[104 + (s & 3)]! >> (2 * (s >> 2))) & 3);
        return half(b, 108) * (scale - 32) * (twoBits(b.subarray(32), i) + 4 * third - 4);
      }),
  },
  q4_k: { blockBytes: 144, decode: (b) => fourOrFiveBitK(b, 16, () => 0) },
  q5_k: { blockBytes: 176, decode: (b) => fourOrFiveBitK(b, 48, (i, sub) => (b[16 + i]! >> sub) & 1) },
  q6_k: {
    blockBytes: 210,
    decode: (b) =>
      range(256).map((i) => {
        // Two halves of 128 values: four runs of 32, which share 64 bytes of low nibbles and 32 of high bit pairs.
        const [part, run, j] = [i >> 7, (i >> 5) & 3, i & 31];
        const low = nibble(b[part * 64 + (run & 1) * 32 + j]!, run >> 1);
        const high = (b[128 + part * 32 + j]! >> (run * 2)) & 3;
        const scale = signed(b[192 + part * 8 + run * 2 + (j >> 4)]!);
        return half(b, 208) * scale * (low + 16 * high - 32);
      }),
  },
  iq4_nl: {
    blockBytes: 18,
    decode: (b) => range(32).map((i) => half(b, 0) * iq4Values[nibble(b[2 + (i & 15)]!, i >> 4)]!),
  },
  iq4_xs: {
    blockBytes: 136,
    decode: (b) =>
      range(256).map((i) => {
        const sub = i >> 5;
        const high = ((b[2]! | (b[3]! << 8)) >> (2 * sub)) & 3;
        const scale = nibble(b[4 + (sub >> 1)]!, sub & 1) + 16 * high - 32;
        return half(b, 0) * scale * iq4Values[nibble(b[8 + sub * 16 + (i & 15)]!, (i >> 4) & 1)]!;
      }),
  },
  nf4: {
    blockBytes: 36,
    decode: (b) =>
      range(64).map((i) => {
        const largest = new DataView(b.buffer, b.byteOffset).getFloat32(0, true);
        return largest * nf4Values[nibble(b[4 + (i >> 1)]!, i % 2 === 0)]!;
      }),
  },
};
