const units: Readonly<Record<string, number>> = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KIB: 2 ** 10,
  MIB: 2 ** 20,
  GIB: 2 ** 30,
};

/** Bytes of `6GiB` or `800 MB`; undefined for what is no size. */
export function readBytes(text: string): number | undefined {
  const [, size, unit = 'B'] = /^\s*(\d+(?:\.\d+)?)\s*([kmg]?i?b)?\s*$/i.exec(text) ?? [];
  const factor = units[unit.toUpperCase()];
  return size === undefined || factor === undefined ? undefined : Math.floor(Number(size) * factor);
}
