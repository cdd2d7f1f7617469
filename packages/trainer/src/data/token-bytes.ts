// Tokens of a row as few bytes: each with whether it is learned, in base 128, the lowest digits first.

/** Most bytes of one token below 2^30. */
export const mostTokenBytes = 5;

/** Writes tokens below 2^30, with a 1 for each that is learned, to the beginning of `target`. @returns how many bytes */
export function writeTokens(tokens: Int32Array, learned: Uint8Array, target: Uint8Array): number {
  let at = 0;
  for (let i = 0; i < tokens.length; i++) {
    let left = (tokens[i]! << 1) | learned[i]!;
    for (; left > 0x7f; left >>>= 7) target[at++] = (left & 0x7f) | 0x80;
    target[at++] = left;
  }
  return at;
}

/** The `count` tokens that begin these bytes. @throws RangeError where they hold fewer */
export function tokensFromBytes(bytes: Uint8Array, count: number): { tokens: Int32Array; learned: Uint8Array } {
  const tokens = new Int32Array(count);
  const learned = new Uint8Array(count);
  let at = 0;
  for (let i = 0; i < count; i++) {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++];
      if (byte === undefined || shift > 28) throw new RangeError(`these bytes hold ${i} of ${count} tokens`);
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    tokens[i] = value >>> 1;
    learned[i] = value & 1;
  }
  return { tokens, learned };
}
