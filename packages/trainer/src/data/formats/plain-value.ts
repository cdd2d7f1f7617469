/**
 * A value of a columnar file as JSON has it, pictures as their bytes: there every row has every field, so that null says a field is left
 * out. A picture as `datasets` writes it, {bytes, path}, is its bytes or its path.
 */
export function plainValue(value: unknown): unknown {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
  if (Array.isArray(value)) return value.map(plainValue);
  if (ArrayBuffer.isView(value)) return Array.from(value as unknown as Iterable<unknown>, plainValue);
  const entries = Object.entries(value);
  if (entries.length === 2 && 'bytes' in value && 'path' in value && (value.bytes ?? value.path) != null)
    return value.bytes ?? value.path;
  return Object.fromEntries(entries.flatMap(([key, each]) => (each == null ? [] : [[key, plainValue(each)]])));
}
