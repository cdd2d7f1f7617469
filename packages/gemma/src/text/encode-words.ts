import { isFields, type Fields } from '../config/fields.js';
import { byteTokens } from './byte-tokens.js';

/** What a space is in words of a vocabulary. */
const space = '▁';
/** Words that are remembered, and the longest of them, in UTF-16 units: some 10 MB. A text has few words that are not among its most frequent. */
const mostKept = 65_536;
const longestKept = 32;

/** Encodes a text without special tokens around it. */
type Encode = (text: string) => readonly number[];

/**
 * Encodes texts piece by piece, remembering the pieces: the ids are those of the whole text, many times faster. A text may be parted wherever no
 * merge joins the two characters at that border. It is parted before spaces, and a word that is new wherever that may be: a number is digits to
 * a tokenizer that joins none.
 * @param tokenizer what `checkTokenizerJson` let through
 * @returns gives the ids of a text, after `first` where that is given
 */
export function encodeByWords(tokenizer: Fields, encode: Encode): (text: string, first?: number) => number[] {
  const borders = bordersOf(tokenizer);
  const begin = (first: number | undefined) => (first === undefined ? [] : [first]);
  if (borders === undefined) return (text, first) => [...begin(first), ...encode(text)];
  const { joinsSpace, partsOf } = borders;
  const kept = new Map<string, readonly number[]>();
  const remember = (text: string, ids: readonly number[]): readonly number[] => {
    if (text.length > longestKept) return ids;
    if (kept.size >= mostKept) kept.clear();
    kept.set(text, ids);
    return ids;
  };
  const encodePiece = (piece: string): readonly number[] => kept.get(piece) ?? remember(piece, encode(piece));
  const encodeWord = (word: string): readonly number[] => {
    const before = kept.get(word);
    if (before !== undefined) return before;
    const parts = partsOf(word);
    return remember(word, parts.length === 1 ? encode(word) : parts.flatMap(encodePiece));
  };
  return (text, first) => {
    const ids: number[] = begin(first);
    const add = (word: string) => {
      const found = encodeWord(word);
      for (let i = 0; i < found.length; i++) ids.push(found[i]!);
    };
    let from = 0;
    for (let at = text.indexOf(' ', 1); at > 0; at = text.indexOf(' ', at + 1)) {
      if (joinsSpace.has(text.charCodeAt(at - 1))) continue;
      add(text.slice(from, at));
      from = at;
    }
    add(text.slice(from));
    return ids;
  };
}

/** Where texts may be parted. */
interface Borders {
  /** UTF-16 units that a space does not begin a word after. */
  readonly joinsSpace: ReadonlySet<number>;
  /** The least pieces of a word. */
  partsOf(word: string): string[];
}

/** Undefined for a tokenizer that does more to a text than to write its spaces as `▁`. */
function bordersOf({ normalizer, model, added_tokens: added }: Fields): Borders | undefined {
  const steps = isFields(normalizer) && normalizer['type'] === 'Sequence' ? normalizer['normalizers'] : [normalizer];
  const [step, ...more] = steps as readonly unknown[];
  if (!isFields(step) || more.length > 0 || step['type'] !== 'Replace' || step['content'] !== space) return undefined;
  if ((step['pattern'] as Fields)['String'] !== ' ') return undefined;
  const { vocab, merges, byte_fallback: hasBytes, ignore_merges: takesWhole } = model as Model;
  // A text that is a word as a whole would be that, whatever its merges make: so would a piece be.
  if (takesWhole === true) return undefined;
  // Without it a space is an unknown character, and those that follow each other are one token.
  if (!Object.hasOwn(vocab, space)) return undefined;
  const pairAt = (text: string, at: number) => unitAt(text, at - 1) * 2 ** 16 + unitAt(text, at);
  const joined = new Set<number>();
  for (const merge of merges) {
    const [left, right] = typeof merge === 'string' ? (merge.split(' ') as [string, string]) : merge;
    joined.add(pairAt(left + right, left.length));
  }
  const joinsSpace = new Set([' ', space].map((character) => character.charCodeAt(0)));
  const spaceUnit = unitAt(space, 0);
  for (const pair of joined) if (pair % 2 ** 16 === spaceUnit) joinsSpace.add(Math.floor(pair / 2 ** 16));
  // Added tokens are found first, in words as they are; few are in texts.
  const openings = new Set<number>();
  for (const { content } of (added ?? []) as readonly { readonly content: string }[]) {
    if (content.length > 1) openings.add(pairAt(content, 1));
    for (let at = 1; at < content.length; at++)
      if (unitAt(content, at) === spaceUnit) joinsSpace.add(content.charCodeAt(at - 1));
  }
  // Else unknown characters that follow each other may be one token.
  const mayPart = hasBytes === true && byteTokens.every((token) => Object.hasOwn(vocab, token));
  return {
    joinsSpace,
    partsOf(word) {
      const parts: string[] = [];
      let from = 0;
      for (let at = 1; at < word.length; at++) {
        const pair = pairAt(word, at);
        if (!mayPart || openings.has(pair)) return [word];
        // A low surrogate is the second half of a character.
        if (joined.has(pair) || (pair & 0xfc00) === 0xdc00) continue;
        parts.push(word.slice(from, at));
        from = at;
      }
      return [...parts, word.slice(from)];
    },
  };
}

/** A UTF-16 unit of a text in which spaces are written as words have them. */
function unitAt(text: string, at: number): number {
  const unit = text.charCodeAt(at);
  return unit === 0x20 ? 0x2581 : unit;
}

interface Model {
  readonly merges: readonly (string | readonly [string, string])[];
  readonly vocab: Readonly<Record<string, number>>;
  readonly byte_fallback?: unknown;
  readonly ignore_merges?: unknown;
}
