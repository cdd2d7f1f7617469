// Little exercises for the base model: to copy words, turn them round, number them, and leave a plural's s off. No text names a thing
// that the example's orders name.
import { createRandom } from '@lapidary/gemma';

/** What the example's orders are of; neither these nor their plurals occur in what the base model reads. */
const ordered = ['apple', 'pear', 'book', 'lamp', 'chair', 'cup', 'coat', 'egg', 'pen', 'cake'];
const digits = ['zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine'];

export const namesOrdered = (text: string): boolean => new RegExp(`\\b(${ordered.join('|')})s?\\b`, 'i').test(text);

/** Lower-case words of 3 to 8 letters, sorted. */
export const wordsOf = (texts: readonly string[]): string[] =>
  [
    ...new Set(
      texts
        .join(' ')
        .toLowerCase()
        .split(/[ \n,.]+/),
    ),
  ]
    .filter((word) => /^[a-z]{3,8}$/.test(word))
    .sort();

/** A source of exercises over these words; the same seed gives the same ones. */
export function madeUpTexts(words: readonly string[], seed: number): () => string {
  const random = createRandom(seed);
  const below = (n: number) => Math.floor(random() * n);
  const some = <T>(least: number, most: number, one: () => T) =>
    Array.from({ length: least + below(most - least + 1) }, one);
  const word = () => words[below(words.length)]!;
  const counted = () => [word(), below(10)] as const;

  const exercises: readonly (() => string)[] = [
    () => {
      const line = some(2, 5, word).join(', ');
      return `${line}.\nAgain: ${line}.`;
    },
    () => {
      const list = some(2, 4, word);
      return `${list.join(' and ')}\nFirst: ${list[0]}. Last: ${list.at(-1)}.`;
    },
    () => {
      const numbers = some(2, 4, () => below(10));
      return `${numbers.map((n) => digits[n]).join(', ')}\nDigits: ${numbers.join(', ')}`;
    },
    () => {
      const list = some(1, 3, word);
      return `${list.map((one) => `${one}s`).join(', ')}\nOne of each: ${list.join(', ')}`;
    },
    () => {
      const pairs = some(2, 3, () => [word(), word()] as const);
      return `${pairs.map(([a, b]) => `${a} ${b}`).join('; ')}\nTurned: ${pairs.map(([a, b]) => `${b} ${a}`).join('; ')}`;
    },
    () => {
      const list = some(2, 4, counted);
      const [asked, n] = list[below(list.length)]!;
      return `${list.map(([one, of]) => `${one} ${digits[of]}`).join(', ')}\n${asked}: ${n}`;
    },
  ];
  return () => exercises[below(exercises.length)]!();
}
