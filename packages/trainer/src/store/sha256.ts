import { createSha256 } from '#sha256';

/** SHA-256 of bytes that come in pieces. */
export interface Sha256 {
  update(bytes: Uint8Array): void;
  /** The digest in lower-case hexadecimal; ends the use of this object. */
  hex(): string;
}

export { createSha256 };

export function sha256OfText(text: string): string {
  const hash = createSha256();
  hash.update(new TextEncoder().encode(text));
  return hash.hex();
}
