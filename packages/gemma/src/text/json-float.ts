import { parseJson } from '../config/json.js';

/**
 * A whole number that a JSON text writes as a float, `20.0`: templates write it so again, as in Python. Numbers of JavaScript do not tell.
 */
export class JsonFloat {
  constructor(readonly value: number) {}
  toJSON(): number {
    return this.value;
  }
}

/** What stands for a float while its text is read: `{[jsonFloatKey]: 20}`. */
export const jsonFloatKey = '\0float';
const textOrNumber = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/** The value of a JSON text, whole numbers that it writes as floats as `JsonFloat`, but not under the keys `plain`. @throws SyntaxError */
export function parseJsonWithFloats(text: string, plain: readonly string[] = []): unknown {
  const value = parseJson(text);
  if (!/\d(\.0|[eE])/.test(text) || text.includes('\\u0000float')) return value;
  const isFloat = (token: string) => !token.startsWith('"') && /[.eE]/.test(token) && Number.isInteger(Number(token));
  const marked = text.replace(textOrNumber, (token) => (isFloat(token) ? `{"\\u0000float":${token}}` : token));
  return marked === text ? value : withJsonFloats(parseJson(marked), plain);
}

/** A value in which what stands for floats becomes `JsonFloat`; a plain number under the keys `plain`. */
export function withJsonFloats(value: unknown, plain: readonly string[] = []): unknown {
  const read = (each: unknown, key: string): unknown => {
    if (Array.isArray(each)) return each.map((one) => read(one, ''));
    if (typeof each !== 'object' || each === null) return each;
    const float = (each as Record<string, unknown>)[jsonFloatKey];
    if (typeof float === 'number') return plain.includes(key) ? float : new JsonFloat(float);
    return Object.fromEntries(Object.entries(each).map(([name, one]) => [name, read(one, name)]));
  };
  return read(value, '');
}
