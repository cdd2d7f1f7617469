// Python's texts: strings of code points, with blanks, lines and letters other than JavaScript's.

/** What `str.strip` takes off: other than JavaScript's `trim`, U+001C to U+001F and U+0085, but not U+FEFF. */
export const blanks = '\\t-\\r\\x1c- \\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';
const leading = new RegExp(`^[${blanks}]+`);
const words = new RegExp(`[^${blanks}]+`, 'g');
const titled = new RegExp(`[^-${blanks}({\\[<]+`, 'g');
const isBlank = new RegExp(`^[${blanks}]$`);
/** Where `str.splitlines` splits. */
const lineEnds = /\r\n|[\n-\r\x1c-\x1e\x85\u2028\u2029]/g;

/** `str.strip`, of one end or both. `characters`: those that are taken off, in place of blanks. */
export function strip(text: string, ends: 'both' | 'left' | 'right' = 'both', characters?: string): string {
  if (characters === undefined) {
    const rest = ends === 'right' ? text : text.replace(leading, '');
    if (ends === 'left') return rest;
    let to = rest.length;
    while (to > 0 && isBlank.test(rest[to - 1]!)) to--;
    return rest.slice(0, to);
  }
  const removed = new Set(characters);
  const points = Array.from(text);
  let [from, to] = [0, points.length];
  if (ends !== 'right') while (from < to && removed.has(points[from]!)) from++;
  if (ends !== 'left') while (to > from && removed.has(points[to - 1]!)) to--;
  return points.slice(from, to).join('');
}

/** `str.split`: at a separator, or else at blanks; into at most so many parts and a rest. @throws Error for an empty one */
export function split(text: string, separator: string | undefined, most: number): string[] {
  if (separator === undefined) {
    const parts: string[] = [];
    for (const { 0: word, index } of text.matchAll(words)) {
      if (parts.length === most) return [...parts, text.slice(index)];
      parts.push(word);
    }
    return parts;
  }
  if (separator === '') throw new Error('it splits at nothing');
  const parts = text.split(separator);
  return most < 0 || parts.length <= most + 1 ? parts : [...parts.slice(0, most), parts.slice(most).join(separator)];
}

/** `str.splitlines` */
export function lines(text: string, keepEnds = false): string[] {
  const found: string[] = [];
  let from = 0;
  for (const { 0: end, index } of text.matchAll(lineEnds)) {
    found.push(text.slice(from, keepEnds ? index + end.length : index));
    from = index + end.length;
  }
  return from < text.length ? [...found, text.slice(from)] : found;
}

/** Letters whose capitals differ at the start of a word: JavaScript has only those of whole words. */
const ownTitle = /^[\u01c4-\u01cc\u01f1-\u01f3]/;
const georgian = /^[\u10d0-\u10fa\u10fd-\u10ff]/;

function withCapital(word: string): string {
  const [first = ''] = word;
  const upper = georgian.test(first) ? first : first.toUpperCase();
  if (ownTitle.test(first) || Array.from(upper).length > 1)
    throw new Error(`it capitalises ${JSON.stringify(first)}, which is not supported`);
  return upper + lowerRest(word, first);
}

function lowerRest(word: string, first: string): string {
  // How it is written in lower case depends on the letters around it.
  if (word.includes('\u03a3')) throw new Error("it changes the case of 'Σ' within a text, which is not supported");
  return word.slice(first.length).toLowerCase();
}

/** `str.capitalize` */
export const capitalize = (text: string) => withCapital(text);
/** `str.title`: every run of letters. */
export const titleMethod = (text: string) => text.replace(/\p{Cased}+/gu, withCapital);
/** Jinja's filter `title`: what follows a blank or an opening bracket. */
export const titleFilter = (text: string) =>
  text.replace(titled, (word) => {
    const [first = ''] = word;
    return first.toUpperCase() + lowerRest(word, first);
  });

const escapes: Readonly<Record<string, string>> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** `repr` of a text. */
export function quoted(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const inner = text.replace(/[\\'"]|(?! )[\p{C}\p{Z}]/gu, (character) => {
    if (character === "'" || character === '"') return character === quote ? `\\${character}` : character;
    const code = character.codePointAt(0)!;
    const [letter, digits] = code < 0x100 ? ['x', 2] : code < 0x10000 ? ['u', 4] : ['U', 8];
    return escapes[character] ?? `\\${letter}${code.toString(16).padStart(Number(digits), '0')}`;
  });
  return quote + inner + quote;
}

/** `repr` of a float. */
export function floatText(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 'nan' : value > 0 ? 'inf' : '-inf';
  const [digits = '', power = ''] = value.toExponential().split('e');
  const exponent = Number(power);
  if (exponent < -4 || exponent >= 16)
    return `${digits}e${exponent < 0 ? '-' : '+'}${String(Math.abs(exponent)).padStart(2, '0')}`;
  const sign = Object.is(value, -0) ? '-' : '';
  return sign + (Number.isInteger(value) ? value.toFixed(1) : String(value));
}

/** Whether a text has letters, and none of the other case. */
export const isUpper = (text: string) => /\p{Uppercase}/u.test(text) && !/[\p{Lowercase}\p{Lt}]/u.test(text);
export const isLower = (text: string) => /\p{Lowercase}/u.test(text) && !/[\p{Uppercase}\p{Lt}]/u.test(text);

/** Order by code points, as in Python. */
export function compareTexts(a: string, b: string): number {
  let i = 0;
  while (i < a.length && a.charCodeAt(i) === b.charCodeAt(i)) i++;
  // Within a pair: both begin with the same half.
  if (i > 0 && /[\ud800-\udbff]/.test(a[i - 1]!)) i--;
  return (a.codePointAt(i) ?? -1) - (b.codePointAt(i) ?? -1);
}
