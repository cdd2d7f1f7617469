import { isFields, type Fields } from '../config/fields.js';

/** What a space is in words of a vocabulary. */
const space = '▁';
/** Words that are remembered, and the longest of them, in UTF-16 units: some 10 MB. A text has few words that are not among its most frequent. */
const mostKept = 65_536;
const longestKept = 32;

/** Encodes a text without special tokens around it. */
type Encode = (text: string) => readonly number[];

/**
 * Encodes texts word by word, remembering the words: the ids are those of the whole text, many times faster. A word begins with a space, and a
 * merge reaches over its border only into a word of the vocabulary that has that border within it; where one has, texts are not parted.
 * @param tokenizer what `checkTokenizerJson` let through
 * @returns gives the ids of a text, after `first` where that is given
 */
export function encodeByWords(tokenizer: Fields, encode: Encode): (text: string, first?: number) => number[] {
  const joins = joinsOf(tokenizer);
  const begin = (first: number | undefined) => (first === undefined ? [] : [first]);
  if (joins === undefined) return (text, first) => [...begin(first), ...encode(text)];
  const kept = new Map<string, readonly number[]>();
  const encodeWord = (word: string): readonly number[] => {
    const before = kept.get(word);
    if (before !== undefined) return before;
    const ids = encode(word);
    if (word.length > longestKept) return ids;
    if (kept.size >= mostKept) kept.clear();
    kept.set(word, ids);
    return ids;
  };
  return (text, first) => {
    const ids: number[] = begin(first);
    const add = (word: string) => {
      const found = encodeWord(word);
      for (let i = 0; i < found.length; i++) ids.push(found[i]!);
    };
    let from = 0;
    for (let at = text.indexOf(' ', 1); at > 0; at = text.indexOf(' ', at + 1)) {
      if (joins.has(text.charCodeAt(at - 1))) continue;
      add(text.slice(from, at));
      from = at;
    }
    add(text.slice(from));
    return ids;
  };
}

/**
 * UTF-16 units that a space does not begin a word after: spaces, and those that some word has before a space. Undefined for a tokenizer that
 * does more to a text than to write its spaces as `▁`.
 */
function joinsOf({ normalizer, model, added_tokens: added }: Fields): ReadonlySet<number> | undefined {
  const steps = isFields(normalizer) && normalizer['type'] === 'Sequence' ? normalizer['normalizers'] : [normalizer];
  const [step, ...more] = steps as readonly unknown[];
  if (!isFields(step) || more.length > 0 || step['type'] !== 'Replace' || step['content'] !== space) return undefined;
  if ((step['pattern'] as Fields)['String'] !== ' ') return undefined;
  const { vocab } = model as { readonly vocab: Readonly<Record<string, number>> };
  // Without it a space is an unknown character, and those that follow each other are one token.
  if (!Object.hasOwn(vocab, space)) return undefined;
  const joins = new Set<number>([' ', space].map((character) => character.charCodeAt(0)));
  const note = (word: string) => {
    for (let at = word.search(/.[ ▁]/su); at >= 0 && at < word.length - 1; at++)
      if (/[ ▁]/.test(word.charAt(at + 1))) joins.add(word.charCodeAt(at));
  };
  for (const word of Object.keys(vocab)) if (word.includes(space, 1)) note(word);
  for (const { content } of (added ?? []) as readonly { readonly content: string }[]) note(content);
  return joins;
}
