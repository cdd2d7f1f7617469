import { describe, expect, it } from 'vitest';
import { tokenizerFromJson, TokenizerError } from './tokenizer.js';

const words = ['<pad>', '<eos>', '<bos>', '<unk>', '▁', 'a', 'b', 'ab'];
const addedToken = (id: number, others: object = {}) => ({ id, content: words[id], special: true, ...others });
const model = {
  type: 'BPE',
  unk_token: '<unk>',
  byte_fallback: true,
  vocab: Object.fromEntries(words.map((word, id) => [word, id])),
  merges: [['a', 'b']] as unknown[],
};
const whole = {
  normalizer: { type: 'Replace', pattern: { String: ' ' }, content: '▁' } as unknown,
  pre_tokenizer: { type: 'Split', pattern: { String: ' ' }, behavior: 'MergedWithPrevious', invert: false } as unknown,
  decoder: { type: 'Sequence', decoders: [{ type: 'ByteFallback' }, { type: 'Fuse' }] } as unknown,
  post_processor: null as unknown,
  added_tokens: [0, 1, 2, 3].map((id) => addedToken(id)) as unknown[],
  model: model as unknown,
};
const read = (change: object, config: unknown = {}) => tokenizerFromJson({ ...whole, ...change }, config);
const withModel = (change: object) => ({ model: { ...model, ...change } });

describe('tokenizer.json', () => {
  it.each([
    ['as it is', {}],
    ['without parts', { normalizer: null, pre_tokenizer: null, decoder: null, added_tokens: [] }],
    ['with merges as texts', withModel({ merges: ['a b'] })],
    [
      'with a normaliser in steps',
      { normalizer: { type: 'Sequence', normalizers: [whole.normalizer, { type: 'Prepend', prepend: '▁' }] } },
    ],
    ['with what changes nothing here', { truncation: { max_length: 4 }, padding: null }],
    [
      'with words after the vocabulary',
      { added_tokens: [...whole.added_tokens, { id: 8, content: '<image>', special: true }] },
    ],
  ])('%s', async (_, change) => {
    const tokenizer = await read(change);
    expect(tokenizer.encode('ab').slice(-1)).toEqual([7]);
    expect(tokenizer.tokenId('<bos>')).toBe(2);
  });

  const regex = { Regex: '(a+)+$' };
  it.each([
    [
      'a pattern that need not end',
      { pre_tokenizer: { type: 'Split', pattern: regex, behavior: 'Isolated' } },
      /pre_tokenizer\.pattern is the regular expression "\(a\+\)\+\$"/,
    ],
    [
      'the same in a step',
      { normalizer: { type: 'Sequence', normalizers: [{ type: 'Replace', pattern: regex, content: '' }] } },
      /normalizer\.normalizers\[0\]\.pattern/,
    ],
    [
      'a post_processor of another kind',
      { post_processor: { type: 'ByteLevel' } },
      /post_processor is .*TemplateProcessing/,
    ],
    [
      'a post_processor with another token',
      {
        post_processor: {
          type: 'TemplateProcessing',
          single: [{ SpecialToken: { id: '<eos>' } }, { Sequence: { id: 'A' } }],
        },
      },
      /post_processor puts "<eos>"/,
    ],
    [
      'a post_processor with the text twice',
      {
        post_processor: { type: 'TemplateProcessing', single: [{ Sequence: { id: 'A' } }, { Sequence: { id: 'B' } }] },
      },
      /post_processor\.single/,
    ],
    ['the same in the decoder', { decoder: { type: 'Replace', pattern: regex, content: '' } }, /decoder\.pattern/],
    [
      'an empty pattern',
      { normalizer: { type: 'Replace', pattern: { String: '' }, content: 'x' } },
      /normalizer\.pattern/,
    ],
    [
      'a text that makes much of little',
      { normalizer: { type: 'Replace', pattern: { String: ' ' }, content: 'x'.repeat(1e6) } },
      /normalizer\.content/,
    ],
    [
      'a kind that no Gemma has',
      { pre_tokenizer: { type: 'ByteLevel' } },
      /pre_tokenizer is of type "ByteLevel".*Supported: Sequence, Split/,
    ],
    ['a kind by the name of a method', { decoder: { type: 'constructor' } }, /decoder is of type "constructor"/],
    [
      'a thousand steps',
      { decoder: { type: 'Sequence', decoders: Array(1000).fill({ type: 'Fuse' }) } },
      /at most 8 steps/,
    ],
    ['an id of a billion', withModel({ vocab: { ...model.vocab, c: 1e9 } }), /"c": the id 1000000000/],
    ['an id below zero', withModel({ vocab: { ...model.vocab, c: -1 } }), /"c": the id -1/],
    ['an id that is a text', withModel({ vocab: { ...model.vocab, c: '9' } }), /"c": the id "9"/],
    ['two words of one id', withModel({ vocab: { ...model.vocab, c: 5 } }), /the id 5 is that of "a" and of "c"/],
    ['no words', withModel({ vocab: {}, unk_token: null, merges: [] }), /has no words/],
    ['merges of what is no word', withModel({ merges: [['a', 'z']] }), /merges\[0\].*"z" is no word/],
    ['merges into what is no word', withModel({ merges: [['b', 'a']] }), /merges\[0\].*"ba" is no word/],
    ['merges of one word', withModel({ merges: [['a', 'b'], 'a b'] }), /merges\[1\]/],
    ['merges that are no list', withModel({ merges: { length: 1e9 } }), /merges is/],
    ['another kind of model', withModel({ type: 'Unigram' }), /model\.type is "Unigram"/],
    ['dropout', withModel({ dropout: 0.1 }), /model\.dropout is 0\.1/],
    ['an unknown token that is no word', withModel({ unk_token: '<none>' }), /unk_token is "<none>"/],
    ['an added token with another id', { added_tokens: [addedToken(2, { id: 4 })] }, /"<bos>", has the id 4, but 2/],
    [
      'an added token with the id of a word',
      { added_tokens: [{ id: 5, content: '<x>' }] },
      /the id 5 is that of "a" and of "<x>"/,
    ],
    ['an added token twice', { added_tokens: [addedToken(2), addedToken(2)] }, /there twice/],
    ['an added token without text', { added_tokens: [{ id: 9, content: '' }] }, /added_tokens\[0\]\.content/],
    [
      'an added token that stands alone',
      { added_tokens: [addedToken(2, { single_word: true })] },
      /single_word is true/,
    ],
    ['an added token with lstrip', { added_tokens: [addedToken(2, { lstrip: true })] }, /lstrip is true/],
    ['an added token with rstrip', { added_tokens: [addedToken(2, { rstrip: true })] }, /rstrip is true/],
    [
      'an added token that Hugging Face’s library gives another id',
      { added_tokens: [...whole.added_tokens, { id: 9, content: '<x>' }] },
      /"<x>", has the id 9; Hugging Face's library would give it 8/,
    ],
    [
      'added tokens in another order than their ids',
      {
        added_tokens: [
          { id: 9, content: '<x>' },
          { id: 8, content: '<y>' },
        ],
      },
      /"<x>", has the id 9/,
    ],
    [
      'a pre-tokenizer that splits texts',
      { pre_tokenizer: { type: 'Split', pattern: { String: '▁' }, behavior: 'Isolated', invert: false } },
      /splits at "▁", which the normalizer leaves/,
    ],
    ['one whose spaces are not replaced', { normalizer: null }, /splits at " ", which the normalizer leaves/],
    [
      'one whose spaces come back',
      {
        normalizer: {
          type: 'Sequence',
          normalizers: [whole.normalizer, { type: 'Replace', pattern: { String: 'a' }, content: ' ' }],
        },
      },
      /splits at " "/,
    ],
    [
      'a text with what JavaScript replaces by others',
      { normalizer: { type: 'Replace', pattern: { String: ' ' }, content: '$&' } },
      /normalizer\.content is "\$&"/,
    ],
    ['a decoder that strips', { decoder: { type: 'Strip', content: ' ', start: 1, stop: 0 } }, /of type "Strip"/],
    [
      'bytes after all is put together',
      { decoder: { type: 'Sequence', decoders: [{ type: 'Fuse' }, { type: 'ByteFallback' }] } },
      /ByteFallback after Fuse/,
    ],
    ['no model', { model: null }, /model is null/],
  ])('refuses %s', async (_, change, message) => {
    await expect(read(change)).rejects.toBeInstanceOf(TokenizerError);
    await expect(read(change)).rejects.toThrow(message);
  });

  it.each([
    ['a text', JSON.stringify(whole), /not its text: JSON\.parse it first/],
    ['nothing', null, /not null/],
    ['a number', 5, /not 5/],
    ['a list', [], /not \[\]/],
    ['undefined', undefined, /not missing/],
  ])('refuses %s in its place', async (_, json, message) => {
    await expect(tokenizerFromJson(json)).rejects.toThrow(message);
    await expect(tokenizerFromJson(json)).rejects.toBeInstanceOf(TokenizerError);
  });
});

describe('tokenizer_config.json', () => {
  it.each([
    [{ bos_token: 5 }, /bos_token is 5/],
    [{ bos_token: '<begin>' }, /bos_token names "<begin>", which is none of the added_tokens of tokenizer\.json/],
    [{ eos_token: { content: '<end>' } }, /eos_token names "<end>", which is none/],
    [{ eos_token: { content: [] } }, /eos_token is/],
    [{ image_token: 'ab' }, /image_token names "ab", which is none of the added_tokens/],
    [{ extra_special_tokens: { image: '<image>' } }, /extra_special_tokens names "<image>", which is none/],
    [{ additional_special_tokens: 'x' }, /additional_special_tokens is "x", not a list/],
    [[], /holds \[\], not an object/],
    [null, /holds null/],
  ])('%j', async (config, message) => {
    await expect(read({}, config)).rejects.toThrow(message);
    await expect(read({}, config)).rejects.toBeInstanceOf(TokenizerError);
  });

  it('lets no field of other models change texts', async () => {
    const tokenizer = await read({}, { remove_space: true, do_lowercase_and_remove_accent: true });
    expect(tokenizer.encode(' ab', { addSpecialTokens: false })).toEqual([4, 7]);
  });
});

it('decodes what are words, as Hugging Face does', async () => {
  const tokenizer = await read({ model: { ...model, unk_token: null } });
  expect(tokenizer.decode([7, 2 ** 31, 100, 5])).toBe('aba');
  expect(tokenizer.decode([99])).toBe('');
});
