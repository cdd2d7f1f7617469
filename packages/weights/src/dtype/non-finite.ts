import { type DType, dtypeInfo, isQuantised } from '@lapidary/kernels/dtype';

/**
 * The exponents in a word of 32 bits, all ones in a NaN or an infinity, and their lowest bits: added to an exponent of all ones they
 * carry into the place of the sign, added to any other they do not.
 */
interface Exponents {
  readonly mask: number;
  readonly lowest: number;
  readonly signs: number;
}

const exponents: { readonly [dtype in DType]?: Exponents } = {
  f32: { mask: 0x7f800000, lowest: 0x00800000, signs: 0x80000000 },
  bf16: { mask: 0x7f807f80, lowest: 0x00800080, signs: 0x80008000 },
  f16: { mask: 0x7c007c00, lowest: 0x04000400, signs: 0x80008000 },
};

/**
 * Whether any value is NaN or infinite. Looks at exponents only: some 10 GB a second.
 * @param bytes little-endian, whole blocks of `dtype`
 */
export function holdsNonFinite(dtype: DType, bytes: Uint8Array): boolean {
  const exponent = exponents[dtype];
  if (exponent !== undefined) return wordsHold(wordsOf(bytes), exponent);
  if (!isQuantised(dtype)) return false;
  if (dtype === 'nf4') return scalesHold(wordsOf(bytes));
  const { blockBytes, scalesAt } = dtypeInfo[dtype];
  return scalesAt.some((at) => {
    // The upper byte of a half holds its sign and its exponent.
    for (let i = at + 1; i < bytes.length; i += blockBytes) if (((bytes[i] as number) & 0x7c) === 0x7c) return true;
    return false;
  });
}

/** Of each block of nine words the first is a scale. */
function scalesHold(words: Uint32Array): boolean {
  for (let i = 0; i < words.length; i += 9) if ((words[i]! & 0x7f800000) === 0x7f800000) return true;
  return false;
}

/** Without a branch for each word, and four at a time. */
function wordsHold(words: Uint32Array, { mask, lowest, signs }: Exponents): boolean {
  const fours = words.length & ~3;
  let carries = 0;
  for (let i = 0; i < fours; i += 4)
    carries |=
      ((words[i]! & mask) + lowest) |
      ((words[i + 1]! & mask) + lowest) |
      ((words[i + 2]! & mask) + lowest) |
      ((words[i + 3]! & mask) + lowest);
  for (let i = fours; i < words.length; i++) carries |= (words[i]! & mask) + lowest;
  return (carries & signs) !== 0;
}

/** The bytes as words, the last one filled up with zeros. A copy only where they do not lie at whole words. */
export function wordsOf(bytes: Uint8Array): Uint32Array {
  if (bytes.byteOffset % 4 === 0 && bytes.length % 4 === 0)
    return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  const copy = new Uint8Array(Math.ceil(bytes.length / 4) * 4);
  copy.set(bytes);
  return new Uint32Array(copy.buffer);
}
