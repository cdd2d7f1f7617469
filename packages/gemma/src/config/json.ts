/** Lists and objects within each other: no file of a model has so many, and who walks through them calls itself for each. */
const deepest = 100;

/** The value of a JSON text that others wrote. @throws SyntaxError for what is no JSON, or nests deeper than 100 levels */
export function parseJson(text: string): unknown {
  const value: unknown = JSON.parse(text);
  let level: unknown[] = [value];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > deepest) throw new SyntaxError(`its lists and objects nest deeper than ${deepest} levels`);
    const next: unknown[] = [];
    for (const each of level) {
      if (typeof each !== 'object' || each === null) continue;
      for (const child of Object.values(each)) if (typeof child === 'object' && child !== null) next.push(child);
    }
    level = next;
  }
  return value;
}

/** A value of a file as short text, whatever it is. */
export function showValue(value: unknown, most = 80): string {
  const text = textOf(value);
  return text.length > most ? `${text.slice(0, most)}…` : text;
}

function textOf(value: unknown): string {
  if (value === undefined) return 'missing';
  // JSON has no bigint, and a GGUF may hold one.
  if (typeof value === 'bigint') return `${value}`;
  try {
    return JSON.stringify(value) ?? typeof value;
  } catch {
    // Too deep, or with a bigint in it.
    return Array.isArray(value) ? `a list of ${value.length}` : 'an object';
  }
}
