import { Tokenizer } from '@huggingface/tokenizers';
import { expect, it } from 'vitest';
import type { Fields } from '../config/fields.js';
import { encodeByWords } from './encode-words.js';

/** A tokenizer of these merges, with a byte for any other character, as Gemma's. */
function tokenizerOf(merges: readonly (readonly [string, string])[], over: object = {}): Fields {
  const letters = [...'▁abc></\n'];
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
])('%s: ids are those of the whole text', (_name, tokenizer) => {
  const { whole, byWords } = encoders(tokenizer);
  for (const text of texts(2000)) expect(byWords(text), JSON.stringify(text)).toEqual(whole(text));
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
  expect(asked).toEqual(['a> </', ' ab']);
});

it('remembers no long words, and gives what it hands out away', () => {
  const { byWords, asked } = encoders(tokenizerOf(usual));
  const long = 'a'.repeat(40);
  byWords(`${long} ${long}`);
  byWords(`${long} ab`).push(7);
  byWords(' ab').push(7);
  expect(asked.filter((word) => word.trim() === long)).toHaveLength(3);
  expect(byWords(' ab')).toHaveLength(1);
});
