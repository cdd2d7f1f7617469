import { type DType, dtypeInfo } from '@lapidary/kernels/dtype';

/** Exponents of a NaN or an infinity: all ones. One mask for each value in a word of 32 bits. */
const exponents: { readonly [dtype in DType]?: readonly number[] } = {
  f32: [0x7f800000],
  bf16: [0x7f80, 0x7f800000],
  f16: [0x7c00, 0x7c000000],
};

/** Where the f16 scales of a block begin; all other bits of a block are whole numbers. */
const scales: { readonly [dtype in DType]?: readonly number[] } = {
  q4_0: [0],
  q5_0: [0],
  q8_0: [0],
  q4_k: [0, 2],
  q5_k: [0, 2],
  q6_k: [208],
};

/**
 * Whether any value is NaN or infinite. Looks at exponents only: about as fast as the bytes can be copied.
 * @param bytes little-endian, whole blocks of `dtype`
 */
export function holdsNonFinite(dtype: DType, bytes: Uint8Array): boolean {
  const masks = exponents[dtype];
  if (masks !== undefined) return wordsHold(wordsOf(bytes), masks);
  const { blockBytes } = dtypeInfo[dtype];
  return (scales[dtype] ?? []).some((at) => {
    // The upper byte of a half holds its sign and its exponent.
    for (let i = at + 1; i < bytes.length; i += blockBytes) if (((bytes[i] as number) & 0x7c) === 0x7c) return true;
    return false;
  });
}

function wordsHold(words: Uint32Array, [mask = 0, other = mask]: readonly number[]): boolean {
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as number;
    if ((word & mask) === mask || (word & other) === other) return true;
  }
  return false;
}

/** The bytes as words, the last one filled up with zeros. A copy only where they do not lie at whole words. */
export function wordsOf(bytes: Uint8Array): Uint32Array {
  if (bytes.byteOffset % 4 === 0 && bytes.length % 4 === 0)
    return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  const copy = new Uint8Array(Math.ceil(bytes.length / 4) * 4);
  copy.set(bytes);
  return new Uint32Array(copy.buffer);
}
