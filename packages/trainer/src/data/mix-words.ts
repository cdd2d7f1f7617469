/**
 * A hash of 32 bits of words, which may come in pieces: the inner loop of MurmurHash3 (https://github.com/aappleby/smhasher), fast enough
 * that loading does not wait for it, in browsers too.
 */
export function mixWords(words: Uint32Array, start = 0): number {
  let hash = start;
  for (let i = 0; i < words.length; i++) {
    const once = Math.imul(words[i] as number, 0xcc9e2d51);
    hash ^= Math.imul((once << 15) | (once >>> 17), 0x1b873593);
    hash = (Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64) | 0;
  }
  return hash >>> 0;
}
