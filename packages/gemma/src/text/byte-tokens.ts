/** The 256 tokens that stand for single bytes of UTF-8, in their order: `<0x00>` to `<0xFF>`. */
export const byteTokens: readonly string[] = Array.from(
  { length: 256 },
  (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`,
);
