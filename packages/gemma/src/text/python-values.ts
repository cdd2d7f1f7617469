import type { Interpreter } from '@huggingface/jinja';

// What Jinja's values are in Python, where templates are written: the library has JavaScript's texts, blanks and equality.

export type Value = ReturnType<Interpreter['evaluate']>;

/** What Python's `str.strip` takes off: other than JavaScript's `trim`, U+001C to U+001F and U+0085, but not U+FEFF. */
const blanks = '\\t-\\r\\x1c- \\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';
const leading = new RegExp(`^[${blanks}]+`);
const trailing = new RegExp(`[${blanks}]+$`);
const words = new RegExp(`[^${blanks}]+`, 'g');
const titled = new RegExp(`[^-${blanks}({\\[<]+`, 'g');
/** Where `str.splitlines` splits. */
const lineEnds = /\r\n|[\n-\r\x1c-\x1e\x85\u2028\u2029]/;

/** `str.strip`, of one end or both. `characters`: those that are taken off, in place of blanks. */
export function strip(text: string, ends: 'both' | 'left' | 'right' = 'both', characters?: string): string {
  if (characters === undefined) {
    const rest = ends === 'right' ? text : text.replace(leading, '');
    return ends === 'left' ? rest : rest.replace(trailing, '');
  }
  const removed = new Set(characters);
  const points = Array.from(text);
  let [from, to] = [0, points.length];
  if (ends !== 'right') while (from < to && removed.has(points[from]!)) from++;
  if (ends !== 'left') while (to > from && removed.has(points[to - 1]!)) to--;
  return points.slice(from, to).join('');
}

/** `str.split` without a separator: at blanks, into at most so many parts and a rest. */
export function splitAtBlanks(text: string, most = -1): string[] {
  const parts: string[] = [];
  for (const { 0: word, index } of text.matchAll(words)) {
    if (parts.length === most) return [...parts, text.slice(index)];
    parts.push(word);
  }
  return parts;
}

/** `repr` of a float. */
function floatText(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 'nan' : value > 0 ? 'inf' : '-inf';
  const [digits = '', power = ''] = value.toExponential().split('e');
  const exponent = Number(power);
  if (exponent < -4 || exponent >= 16)
    return `${digits}e${exponent < 0 ? '-' : '+'}${String(Math.abs(exponent)).padStart(2, '0')}`;
  const sign = Object.is(value, -0) ? '-' : '';
  return sign + (Number.isInteger(value) ? value.toFixed(1) : String(value));
}

const integerText = (value: number) => (Number.isInteger(value) ? String(BigInt(value)) : String(value));

const escapes: Readonly<Record<string, string>> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** `repr` of a text. */
function quoted(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const inner = text.replace(/[\\'"]|(?! )[\p{C}\p{Z}]/gu, (character) => {
    if (character === "'" || character === '"') return character === quote ? `\\${character}` : character;
    const code = character.codePointAt(0)!;
    const [letter, digits] = code < 0x100 ? ['x', 2] : code < 0x10000 ? ['u', 4] : ['U', 8];
    return escapes[character] ?? `\\${letter}${code.toString(16).padStart(digits as number, '0')}`;
  });
  return quote + inner + quote;
}

/** A value within a list or object. */
function repr(value: Value): string {
  if (typeof value.value === 'string') return quoted(value.value);
  return value.type === 'UndefinedValue' ? 'Undefined' : str(value);
}

/** Python's None; the library's has no value, as what is undefined. */
export const isNone = ({ type }: Value) => type === 'NullValue';

/** `str` of a value: what is printed. @throws Error for what Python prints with its place in memory */
export function str({ type, value }: Value): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number') return type === 'FloatValue' ? floatText(value) : integerText(value);
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (type === 'NullValue') return 'None';
  if (type === 'UndefinedValue') return '';
  if (type === 'TupleValue' && Array.isArray(value))
    return `(${value.map(repr).join(', ')}${value.length === 1 ? ',' : ''})`;
  if (Array.isArray(value)) return `[${value.map(repr).join(', ')}]`;
  if (type === 'ObjectValue' && value instanceof Map)
    return `{${[...value].map(([key, entry]) => `${quoted(key)}: ${repr(entry)}`).join(', ')}}`;
  throw new Error('it prints a function or a namespace');
}

/** `len` of a text (in code points), list or object. @throws Error for what has none */
export function length({ value, type }: Value): number {
  if (typeof value === 'string') return Array.from(value).length;
  if (Array.isArray(value)) return value.length;
  if (value instanceof Map) return value.size;
  if (type === 'UndefinedValue') return 0;
  throw new Error(`it asks for the length of a ${type}`);
}

/** `==` */
export function isEqual(a: Value, b: Value): boolean {
  const [left, right] = [a.value, b.value];
  if (Array.isArray(left) && Array.isArray(right))
    return a.type === b.type && left.length === right.length && left.every((each, i) => isEqual(each, right[i]!));
  if (left instanceof Map && right instanceof Map && a.type === 'ObjectValue' && b.type === 'ObjectValue')
    return (
      left.size === right.size && [...left].every(([key, each]) => right.has(key) && isEqual(each, right.get(key)!))
    );
  if (isNone(a) !== isNone(b)) return false;
  const [x, y] = [left, right].map((each) => (typeof each === 'boolean' ? Number(each) : each));
  return x === y;
}

/** How `tojson` writes. */
export interface JsonForm {
  readonly indent?: number | null;
  readonly ensureAscii?: boolean;
  readonly separators?: readonly [item: string, key: string] | null;
  readonly sortKeys?: boolean;
}

/** `json.dumps`. @throws Error for what is no JSON */
export function json(given: Value, form: JsonForm = {}, depth = 0): string {
  const { indent = null, ensureAscii = false, separators, sortKeys = false } = form;
  const { type, value } = given;
  const text = (each: string) =>
    ensureAscii
      ? JSON.stringify(each).replace(/[\x7f-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)
      : JSON.stringify(each);
  if (typeof value === 'string') return text(value);
  if (typeof value === 'number') return type === 'FloatValue' ? floatText(value) : integerText(value);
  if (typeof value === 'boolean') return String(value);
  if (type === 'NullValue') return 'null';
  const [item, key] = separators ?? [indent === null ? ', ' : ',', ': '];
  const isList = Array.isArray(value);
  if (!isList && !(value instanceof Map && type === 'ObjectValue')) throw new Error(`${type} is no JSON`);
  const entries = isList ? [] : [...value];
  if (sortKeys) entries.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  const parts = isList
    ? value.map((each) => json(each, form, depth + 1))
    : entries.map(([name, each]) => text(name) + key + json(each, form, depth + 1));
  const [open, close] = isList ? '[]' : '{}';
  if (indent === null || parts.length === 0) return open + parts.join(item) + close;
  const line = (level: number) => `\n${' '.repeat(indent * level)}`;
  return open + line(depth + 1) + parts.join(item + line(depth + 1)) + line(depth) + close;
}

/** Jinja's filter `indent`. */
export function indent(text: string, by: string, { first, blank }: { first: boolean; blank: boolean }): string {
  const [start = '', ...lines] = text.split(lineEnds);
  const rest = lines.map((line) => `\n${blank || line !== '' ? by : ''}${line}`);
  return (first ? by : '') + start + rest.join('');
}

/** `str.title`: every run of letters. */
export const titleMethod = (text: string) => text.replace(/[\p{Lu}\p{Ll}\p{Lt}]+/gu, capitalize);
/** Jinja's filter `title`: what follows a blank or an opening bracket. */
export const titleFilter = (text: string) => text.replace(titled, capitalize);
/** `str.capitalize` */
export function capitalize(text: string): string {
  const [first = '', ...others] = Array.from(text);
  return first.toUpperCase() + others.join('').toLowerCase();
}
