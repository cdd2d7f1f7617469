import type { SafetensorsDType } from '../dtype/names.js';

/** Bytes before the header's text, in the longer form that versions 2 and 3 have. */
export const longestPreamble = 12;
/** numpy itself refuses to read more than 10,000 of text. */
const longestText = 1 << 16;
const mostDimensions = 32;

type Fail = (problem: string) => never;

export interface NpyPreamble {
  /** Where the header's text starts, from the start of the .npy. */
  readonly textStart: number;
  readonly dataStart: number;
  readonly encoding: 'latin1' | 'utf-8';
}

/**
 * Where the parts of a .npy lie, by its first bytes (all there are, or at least 12).
 * Source: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html.
 */
export function readNpyPreamble(bytes: Uint8Array, fail: Fail): NpyPreamble {
  const magic = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];
  if (bytes.length < 10 || magic.some((byte, i) => bytes[i] !== byte))
    return fail('it does not start as a .npy file. The file is corrupt, or not written by numpy.savez.');
  const [major, minor] = [bytes[6]!, bytes[7]!];
  if (major < 1 || major > 3 || minor !== 0)
    return fail(
      `it is a .npy of version ${major}.${minor}; versions 1.0, 2.0 and 3.0 are known. Save it with numpy.savez.`,
    );
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const textStart = major === 1 ? 10 : 12;
  if (bytes.length < textStart) return fail('it ends within its header. The file is corrupt: download it again.');
  const length = major === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  if (length > longestText)
    return fail(`its header is said to be ${length} bytes long; at most ${longestText} are read. The file is corrupt.`);
  return { textStart, dataStart: textStart + length, encoding: major === 3 ? 'utf-8' : 'latin1' };
}

export interface NpyHeader {
  readonly type: SafetensorsDType;
  readonly shape: readonly number[];
}

/** The dtype and shape that the header's text gives. */
export function parseNpyHeader(bytes: Uint8Array, encoding: NpyPreamble['encoding'], fail: Fail): NpyHeader {
  const malformed = () =>
    fail("its header is not {'descr', 'fortran_order', 'shape'} as numpy writes it. The file is corrupt.");
  let text: string;
  try {
    text = new TextDecoder(encoding, { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return malformed();
  }
  const header = parseDict(tokenise(text, malformed), malformed, fail);
  const type = tensorType(header.descr, fail);
  if (header.fortranOrder) {
    return fail('its columns come first (fortran_order). Save numpy.ascontiguousarray(array) instead.');
  }
  return { type, shape: header.shape };
}

interface Token {
  /** A bracket, a comma, a colon, `True`, `False` or digits. */
  readonly symbol?: string;
  readonly string?: string;
}

/** Of Python's literals only what numpy writes: plain strings, whole numbers, booleans, brackets. */
function tokenise(text: string, malformed: () => never): Token[] {
  const pattern = /[ \t\r\n]*(?:'([^'\\\r\n]*)'|"([^"\\\r\n]*)"|(True|False|0|[1-9][0-9]*|[{}()[\],:]))/y;
  const tokens: Token[] = [];
  const end = text.trimEnd().length;
  while (pattern.lastIndex < end) {
    const match = pattern.exec(text);
    if (match === null) return malformed();
    const [, single, double, symbol] = match;
    tokens.push(symbol === undefined ? { string: (single ?? double)! } : { symbol });
  }
  return tokens;
}

function parseDict(
  tokens: readonly Token[],
  malformed: () => never,
  fail: Fail,
): { descr: string; fortranOrder: boolean; shape: number[] } {
  let at = 0;
  const accept = (symbol: string) => tokens[at]?.symbol === symbol && ++at > 0;
  const expect = (symbol: string) => void (accept(symbol) || malformed());
  const descr = (): string => {
    if (tokens[at]?.symbol === '[' || tokens[at]?.symbol === '(')
      return fail('its dtype is structured (fields or sub-arrays). Save each field as an array of its own.');
    return tokens[at++]?.string ?? malformed();
  };
  const boolean = () => accept('True') || (accept('False') ? false : malformed());
  const shape = (): number[] => {
    const sizes: number[] = [];
    expect('(');
    while (!accept(')')) {
      const digits = tokens[at++]?.symbol ?? '';
      if (!/^\d/.test(digits)) return malformed();
      const size = Number(digits);
      if (!Number.isSafeInteger(size)) return fail(`a size of ${digits.slice(0, 40)} in its shape is absurd.`);
      sizes.push(size);
      // One size without a comma is a number in brackets, no tuple.
      if (accept(',')) continue;
      if (sizes.length === 1) return malformed();
      expect(')');
      break;
    }
    return sizes.length > mostDimensions
      ? fail(`it has ${sizes.length} dimensions; at most ${mostDimensions} are read.`)
      : sizes;
  };

  const found: { descr?: string; fortran_order?: boolean; shape?: number[] } = {};
  expect('{');
  while (!accept('}')) {
    const key = tokens[at++]?.string ?? malformed();
    if ((key !== 'descr' && key !== 'fortran_order' && key !== 'shape') || found[key] !== undefined) return malformed();
    expect(':');
    if (key === 'descr') found.descr = descr();
    else if (key === 'shape') found.shape = shape();
    else found.fortran_order = boolean();
    if (accept(',')) continue;
    expect('}');
    break;
  }
  const { descr: dtype, fortran_order: fortranOrder, shape: sizes } = found;
  if (at !== tokens.length || dtype === undefined || fortranOrder === undefined || sizes === undefined)
    return malformed();
  return { descr: dtype, fortranOrder, shape: sizes };
}

/** numpy has no bfloat16: its bits are saved as 2 bytes of no type, `|V2` by big_vision, `<V2` by ml_dtypes. */
const types: Readonly<Record<string, SafetensorsDType>> = {
  '|b1': 'BOOL',
  '|u1': 'U8',
  '|i1': 'I8',
  '<u2': 'U16',
  '<i2': 'I16',
  '<f2': 'F16',
  '|V2': 'BF16',
  '<V2': 'BF16',
  '<u4': 'U32',
  '<i4': 'I32',
  '<f4': 'F32',
  '<u8': 'U64',
  '<i8': 'I64',
  '<f8': 'F64',
};

function tensorType(descr: string, fail: Fail): SafetensorsDType {
  if (Object.hasOwn(types, descr)) return types[descr]!;
  const shown = JSON.stringify(descr.slice(0, 40));
  if (/^.?O/.test(descr))
    return fail(
      `it holds pickled Python objects (${shown}), which are unsafe to read and no weights. Save arrays of numbers.`,
    );
  if (descr.startsWith('>'))
    return fail(`its numbers are big-endian (${shown}). Save array.astype(array.dtype.newbyteorder('<')) instead.`);
  return fail(`its dtype ${shown} is none that weights have. Save it as float32, float16 or bfloat16 (|V2).`);
}
