import { compareTexts, floatText } from './text.js';
import { Dict, isNumber, List, Markup, Tuple, typeName, type Value } from './values.js';

/** How `json.dumps` writes. */
export interface JsonForm {
  /** What a level is indented by; null: all on one line. */
  readonly indent: string | null;
  readonly ensureAscii: boolean;
  readonly separators: readonly [item: string, key: string];
  readonly sortKeys: boolean;
}

const numberText = (value: number) =>
  Number.isFinite(value) ? floatText(value) : Number.isNaN(value) ? 'NaN' : value > 0 ? 'Infinity' : '-Infinity';

function text(value: string, ensureAscii: boolean): string {
  if (/\p{Surrogate}/u.test(value)) throw new Error('it writes half a character as JSON');
  const written = JSON.stringify(value);
  if (!ensureAscii) return written;
  return written.replace(/[\x7f-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

function simple(value: Value, ensureAscii: boolean): string | undefined {
  if (typeof value === 'string') return text(value, ensureAscii);
  if (value instanceof Markup) return text(value.text, ensureAscii);
  if (typeof value === 'number') return numberText(value);
  return isNumber(value) || value === null ? String(value) : undefined;
}

/** `json.dumps`. @throws Error for what is no JSON */
export function json(value: Value, form: JsonForm, depth = 0): string {
  const { indent, ensureAscii, separators, sortKeys } = form;
  const written = simple(value, ensureAscii);
  if (written !== undefined) return written;
  const [item, colon] = separators;
  let parts: string[];
  if (value instanceof List || value instanceof Tuple) parts = value.items.map((each) => json(each, form, depth + 1));
  else if (value instanceof Dict)
    parts = entriesOf(value, sortKeys).map(
      ([key, each]) => keyText(key, ensureAscii) + colon + json(each, form, depth + 1),
    );
  else throw new Error(`a ${typeName(value)} is no JSON`);
  const [open, close] = value instanceof Dict ? '{}' : '[]';
  if (indent === null || parts.length === 0) return open + parts.join(item) + close;
  const line = (level: number) => `\n${indent.repeat(level)}`;
  return open + line(depth + 1) + parts.join(item + line(depth + 1)) + line(depth) + close;
}

function entriesOf(value: Dict, sortKeys: boolean): (readonly [Value, Value])[] {
  if (!sortKeys) return value.entries();
  const entries = value.unordered();
  if (entries.some(([key]) => typeof key !== 'string')) throw new Error('it sorts keys that are no texts');
  return entries.sort(([a], [b]) => compareTexts(String(a), String(b)));
}

function keyText(key: Value, ensureAscii: boolean): string {
  const written = simple(key, ensureAscii);
  if (written === undefined) throw new Error(`a ${typeName(key)} is no key of JSON`);
  return written.startsWith('"') ? written : `"${written}"`;
}
