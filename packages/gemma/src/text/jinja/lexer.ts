import { blanks, strip } from './text.js';

/** A piece of a template; `at`: where it begins in the source. */
export type Token =
  | {
      readonly type: 'text' | 'open' | 'close' | 'name' | 'string' | 'operator' | 'end';
      readonly value: string;
      readonly at: number;
    }
  | { readonly type: 'number'; readonly value: bigint | number; readonly at: number };

/** Digits of a number: Python reads no more. */
const mostDigits = 4300;

const pattern = (source: string, flags = 'y') => new RegExp(source.replaceAll('~', `[${blanks}]`), flags);

const opening = /\{([{%#])([-+]?)/g;
const raw = pattern('\\{%[-+]?~*raw~*(?:-%\\}~*|%\\})');
const endRaw = pattern('\\{%([-+]?)~*endraw~*(?:\\+%\\}|-%\\}~*|%\\}\\n?)', 'g');
const endComment = pattern('\\+#\\}|-#\\}~*|#\\}\\n?', 'g');
const endBlock = pattern('\\+%\\}|-%\\}~*|%\\}\\n?');
const endPrint = pattern('-\\}\\}~*|\\}\\}');
const blank = pattern('~+');
const float = /(?<!\.)\d+(?:_\d+)*(?:(?:\.\d+(?:_\d+)*)?e[-+]?\d+(?:_\d+)*|\.\d+(?:_\d+)*)/iy;
const integer = /0b(?:_?[01])+|0o(?:_?[0-7])+|0x(?:_?[\da-f])+|[1-9](?:_?\d)*|0(?:_?0)*/iy;
const name = /[a-z_]\w*/iy;
const string = /'[^'\\]*(?:\\[\s\S][^'\\]*)*'|"[^"\\]*(?:\\[\s\S][^"\\]*)*"/y;
const operator = /\/\/|\*\*|==|!=|>=|<=|[-+/*%~[\](){}><=.:|,;]/y;
const closers: Readonly<Record<string, string>> = { '(': ')', '[': ']', '{': '}' };

/** A line's number, for messages. */
export const lineOf = (source: string, at: number) => source.slice(0, at).split('\n').length;

/** One kind of line ends, and none at the end. */
export const plainLines = (source: string) => source.replace(/\r\n?/g, '\n').replace(/\n$/, '');

/**
 * The pieces of a template (with `plainLines`), blanks taken off as `trim_blocks` and `lstrip_blocks` do.
 * @throws Error for what is no template
 */
export function tokensOf(source: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  let isLineStart = true;
  const fail = (problem: string): never => {
    throw new Error(`line ${lineOf(source, at)}: ${problem}`);
  };
  const match = (expression: RegExp): RegExpExecArray | undefined => {
    expression.lastIndex = at;
    const found = expression.exec(source);
    if (found === null) return undefined;
    at = found.index + found[0].length;
    return found;
  };
  /** What stands before a tag. */
  const addText = (text: string, start: number, sign: string, isPrint: boolean) => {
    let kept = text;
    if (sign === '-') kept = strip(text, 'right');
    else if (sign !== '+' && !isPrint) {
      const from = text.lastIndexOf('\n') + 1;
      if ((from > 0 || isLineStart) && strip(text.slice(from)) === '') kept = text.slice(0, from);
    }
    if (kept !== '') tokens.push({ type: 'text', value: kept, at: start });
  };
  const next = (begin: number): Token => {
    const found = (type: 'name' | 'string' | 'operator', value: string) => ({ type, value, at: begin });
    let value = match(float)?.[0];
    if (value !== undefined) {
      const number = Number(value.replaceAll('_', ''));
      return Number.isFinite(number) ? { type: 'number', value: number, at: begin } : fail(`${value} is too large`);
    }
    value = match(integer)?.[0];
    if (value !== undefined) {
      if (value.length > mostDigits) fail(`a number has more than ${mostDigits} digits`);
      return { type: 'number', value: BigInt(value.replaceAll('_', '').toLowerCase()), at: begin };
    }
    value = match(name)?.[0];
    if (value !== undefined) return found('name', value);
    value = match(string)?.[0];
    if (value !== undefined) return found('string', unescaped(value.slice(1, -1), fail));
    value = match(operator)?.[0];
    return value !== undefined ? found('operator', value) : fail(`unexpected character ${source[at]}`);
  };
  const readTag = (isPrint: boolean) => {
    const open: string[] = [];
    for (;;) {
      const begin = at;
      if (open.length === 0 && match(isPrint ? endPrint : endBlock)) {
        tokens.push({ type: 'close', value: isPrint ? '}}' : '%}', at: begin });
        return;
      }
      if (match(blank)) continue;
      if (at >= source.length) fail('a tag is not closed');
      const token = next(begin);
      if (token.type === 'operator') {
        const closer = closers[token.value];
        if (closer !== undefined) open.push(closer);
        else if ([')', ']', '}'].includes(token.value) && open.pop() !== token.value)
          fail(`unexpected '${token.value}'`);
      }
      tokens.push(token);
    }
  };
  while (at < source.length) {
    const start = at;
    const found = match(opening);
    if (found === undefined) {
      tokens.push({ type: 'text', value: source.slice(start), at: start });
      break;
    }
    const [, kind, sign = ''] = found;
    addText(source.slice(start, found.index), start, sign, kind === '{');
    at = found.index;
    if (match(raw)) {
      isLineStart = source[at - 1] === '\n';
      const from = at;
      const end = match(endRaw) ?? fail('raw is not ended');
      addText(source.slice(from, end.index), from, end[1]!, false);
    } else {
      at = found.index + found[0].length;
      if (kind === '#') {
        if (!match(endComment)) fail('a comment is not ended');
      } else {
        tokens.push({ type: 'open', value: kind === '{' ? '{{' : '{%', at: found.index });
        readTag(kind === '{');
      }
    }
    isLineStart = source[at - 1] === '\n';
  }
  return [...tokens, { type: 'end', value: '', at: source.length }];
}

const letters: Readonly<Record<string, string>> = {
  '\n': '',
  '\\': '\\',
  "'": "'",
  '"': '"',
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
};

/** Python's escapes; a backslash before another letter stays. */
function unescaped(text: string, fail: (problem: string) => never): string {
  return text.replace(
    /\\(?:([0-7]{1,3})|x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|([\s\S]))/gu,
    (all, octal, two, four, eight, letter) => {
      if (letter !== undefined) {
        if (/[xuUN]/.test(letter) || letter > '\x7f') fail(`the escape ${all} in a text is not supported`);
        return letters[letter] ?? all;
      }
      const code = octal !== undefined ? Number.parseInt(octal, 8) : Number.parseInt(two ?? four ?? eight, 16);
      if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) fail(`the escape ${all} in a text is no character`);
      return String.fromCodePoint(code);
    },
  );
}
