/** The number that a text is, as people write it: `20`, `-1`, `1e-3`, `.5`. Undefined for all else: `0x10`, `1_000`, nothing. */
export function toNumber(text: string): number | undefined {
  return /^\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*$/i.test(text) && Number.isFinite(Number(text))
    ? Number(text)
    : undefined;
}
