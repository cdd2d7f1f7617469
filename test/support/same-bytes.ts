/** Whether two arrays hold the same bytes; for large ones, of which `toEqual` would compare and print each. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
