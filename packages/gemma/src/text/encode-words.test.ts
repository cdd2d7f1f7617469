import { Tokenizer } from '@huggingface/tokenizers';
import { expect, it } from 'vitest';
import type { Fields } from '../config/fields.js';
import { encodeByWords } from './encode-words.js';

/** A tokenizer of these merges, with a byte for any other character, as Gemma's. */
function tokenizerOf(merges: readonly (readonly [string, string])[], over: object = {}): Fields {
  const letters = new Set([...'▁abc></\n', ...merges.flat().filter((part) => [...part].length === 1)]);
  const bytes = Array.from({ length: 256 }, (_, i) => `<0x${i.toString(16).toUpperCase().padStart(2, '0')}>`);
  const words = ['<unk>', ...letters, ...bytes, ...merges.map((pair) => pair.join(''))];
  return {
    normalizer: { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
    pre_tokenizer: null,
    post_processor: null,
    decoder: null,
    added_tokens: [],
    model: {
      type: 'BPE',
      unk_token: '<unk>',
      fuse_unk: true,
      byte_fallback: true,
      vocab: Object.fromEntries(words.map((word, id) => [word, id])),
      merges,
    },
    ...over,
  };
}

const usual = [
  ['▁', '▁'],
  ['a', 'b'],
  ['▁', 'ab'],
  ['b', 'c'],
  ['▁ab', 'c'],
  ['\n', '\n'],
] as const;

const added = (content: string, i: number) => ({ id: 400 + i, content, special: true, normalized: false });

const withModel = (change: object): Fields => {
  const tokenizer = tokenizerOf(usual);
  return { ...tokenizer, model: { ...(tokenizer['model'] as object), ...change } };
};

function withoutWord(word: string): Fields {
  const { [word]: _, ...vocab } = (tokenizerOf(usual)['model'] as { vocab: Record<string, number> }).vocab;
  return withModel({ vocab: Object.fromEntries(Object.keys(vocab).map((each, id) => [each, id])) });
}

/** The ids of the whole text at once, and word by word; `calls` counts what was asked of the library. */
function encoders(tokenizer: Fields) {
  const library = new Tokenizer(tokenizer, {});
  const whole = (text: string) => library.encode(text, { add_special_tokens: false }).ids;
  const asked: string[] = [];
  const byWords = encodeByWords(tokenizer, (text) => {
    asked.push(text);
    return whole(text);
  });
  return { whole, byWords, asked };
}

function* texts(count: number): Generator<string> {
  const parts = [' ', '  ', '▁', 'a', 'ab', 'abc', 'c', '>', '</', '\n', 'é', '😀', '\u0300', '<mark>'];
  let seed = 5;
  const roll = (n: number) => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) % n;
  for (let i = 0; i < count; i++)
    yield Array.from({ length: 1 + roll(12) }, () => parts[(roll(1 << 16) >> 4) % parts.length]).join('');
}

it.each([
  ['words that have spaces only at their beginnings', tokenizerOf(usual)],
  ['a word with a space within it', tokenizerOf([...usual, ['<', '/'], ['▁', '</'], ['>', '▁</']])],
  ['a word that ends with a space', tokenizerOf([...usual, ['c', '▁']])],
  [
    'an added token with a space within it',
    tokenizerOf(usual, { added_tokens: [{ id: 271, content: 'a </', special: false, normalized: false }] }),
  ],
  ['added tokens', tokenizerOf(usual, { added_tokens: ['>b', 'éé', '<mark>', '😀c'].map(added) })],
  [
    'two replacements',
    tokenizerOf(usual, {
      normalizer: {
        type: 'Sequence',
        normalizers: [
          { type: 'Prepend', prepend: '▁' },
          { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
        ],
      },
    }),
  ],
  ['no normaliser', tokenizerOf(usual, { normalizer: null })],
  ['no bytes', withModel({ byte_fallback: false })],
  ['a byte without a token', withoutWord('<0xC3>')],
  [
    'texts that are words as a whole, whatever merges make',
    withModel({ ignore_merges: true, merges: usual.slice(0, 3) }),
  ],
  ['a word with a surrogate pair', tokenizerOf([...usual, ['b', '😀']])],
  ['characters that differ in their second half', tokenizerOf([...usual, ['😁', 'b']])],
])('%s: ids are those of the whole text', (_name, tokenizer) => {
  const { whole, byWords } = encoders(tokenizer);
  for (const text of texts(2000)) expect(byWords(text), JSON.stringify(text)).toEqual(whole(text));
});

it('parts a new word where no word of the vocabulary is', () => {
  const { whole, byWords, asked } = encoders(tokenizerOf(usual));
  const text = 'abca>b>ab 😀é';
  expect(byWords(text)).toEqual(whole(text));
  expect(asked).toEqual(['abc', 'a', '>', 'b', 'ab', ' ', '😀', 'é']);
  byWords('a>bé 😀');
  expect(asked).toHaveLength(8);
});

it('asks for a word once', () => {
  const { byWords, asked } = encoders(tokenizerOf(usual));
  byWords('abc ab  ab ab abc');
  expect(asked).toEqual(['abc', ' ab', '  ab', ' abc']);
  byWords('abc ab abc');
  expect(asked).toHaveLength(4);
});

it('parts no word of the vocabulary', () => {
  const { whole, byWords, asked } = encoders(tokenizerOf([...usual, ['<', '/'], ['▁', '</'], ['>', '▁</']]));
  expect(byWords('a> </ ab')).toEqual(whole('a> </ ab'));
  expect(asked).toEqual(['a', '> </', ' ab']);
});

it('remembers no long words, and gives what it hands out away', () => {
  const { byWords, asked } = encoders(tokenizerOf([...usual, ['b', 'a']]));
  const long = 'ab'.repeat(20);
  byWords(`${long} ${long}`);
  byWords(`${long} ab`).push(7);
  byWords(' ab').push(7);
  expect(asked.filter((word) => word.trim() === long)).toHaveLength(3);
  expect(byWords(' ab')).toHaveLength(1);
});
