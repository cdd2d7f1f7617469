// A tokenizer whose words are joined by merges, from its files and from a GGUF, against transformers and gguf (test/fixtures/tokenizer-merges).
import {
  gemma4Prompt,
  type GgufMetadata,
  type Tokenizer,
  TokenizerError,
  tokenizerFromGguf,
  tokenizerFromJson,
  tokenizerToGguf,
} from '@lapidary/gemma';
import { describe, expect, it } from 'vitest';
import { fixtureJson } from './support/safetensors-fixture.js';

const tokenizerJson = await fixtureJson('tokenizer-merges/tokenizer.json');
const fromJson = await tokenizerFromJson(tokenizerJson, await fixtureJson('tokenizer-merges/tokenizer_config.json'));
const metadata = await fixtureJson<Record<string, unknown>>('tokenizer-merges/gguf.json');
const fromGguf = await tokenizerFromGguf(metadata);
const { encode } = await fixtureJson<{ encode: { text: string; ids: number[]; decoded: string }[] }>(
  'tokenizer-merges/cases.json',
);
const tokenizers: [string, Tokenizer][] = [
  ['its files', fromJson],
  ['a GGUF', fromGguf],
];
const tokens = metadata['tokenizer.ggml.tokens'] as string[];
const options = { form: 'merges', vocabSize: tokens.length, tokenizer: fromJson } as const;
const plain = (written: GgufMetadata) =>
  Object.fromEntries(Object.entries(written).map(([key, [, value]]) => [key, value]));

describe.each(tokenizers)('from %s', (_, tokenizer) => {
  it('it encodes and decodes as transformers', () => {
    for (const { text, ids, decoded } of encode) {
      expect(tokenizer.encode(text, { addSpecialTokens: false }), JSON.stringify(text)).toEqual(ids);
      expect(tokenizer.decode(ids, { skipSpecialTokens: false })).toBe(decoded);
    }
  });

  it('a prompt begins with <bos> once, whether it says so or not', () => {
    const ids = [tokenizer.bosId, ...tokenizer.encode('The lamp', { addSpecialTokens: false })];
    for (const prompt of ['The lamp', '<bos>The lamp', '<bos><bos>The lamp'])
      expect(gemma4Prompt.encodePrompt(prompt, tokenizer)).toEqual(ids);
  });

  it('marks of thoughts and calls stay in the text of an answer, those of turns do not', () => {
    const answer = '<|channel>thought\nwhy\n<channel|><|tool_call>call:f{a:<|"|>b<|"|>}<tool_call|>';
    const ids = tokenizer.encode(`<|turn>${answer}<turn|><eos>`, { addSpecialTokens: false });
    expect(tokenizer.decode(ids)).toBe(answer);
  });

  it('an answer ends with a turn, and where a response is to come', () => {
    const names = gemma4Prompt.stopTokens(tokenizer).map((id) => tokens[id]);
    expect(names).toEqual(['<turn|>', '<|tool_response>']);
  });
});

it('the files put nothing in front of a text, the GGUF <bos>, as llama.cpp does', () => {
  const [{ text, ids }] = encode.filter((each) => each.text === 'The lamp by the river') as [(typeof encode)[0]];
  expect(fromJson.encode(text)).toEqual(ids);
  expect(fromGguf.encode(text)).toEqual([fromGguf.bosId, ...ids]);
});

describe('written as a GGUF', () => {
  it("it is what llama.cpp's converter makes of its files", () => {
    const written = plain(tokenizerToGguf({ tokenizerJson }, options));
    const { 'tokenizer.ggml.mask_token_id': _, ...expected } = metadata;
    expect(written).toEqual({ ...expected, 'tokenizer.ggml.add_eos_token': false });
  });

  it('of a GGUF it is that of the GGUF', () => {
    expect(plain(tokenizerToGguf({ gguf: metadata }, options))).toEqual(metadata);
  });

  it('it is not made of a SentencePiece model, which has no merges', () => {
    expect(() => tokenizerToGguf({ sentencePiece: new Uint8Array() }, options)).toThrow(TokenizerError);
  });
});

describe('a GGUF is refused', () => {
  const merges = metadata['tokenizer.ggml.merges'] as string[];
  it.each<[string, Record<string, unknown>, RegExp]>([
    ['without merges', { 'tokenizer.ggml.merges': undefined }, /no list 'tokenizer.ggml.merges'/],
    [
      'with a merge that is no pair',
      { 'tokenizer.ggml.merges': [...merges, 'lamp'] },
      /"lamp" at \d+, which joins no two/,
    ],
    ['with a merge of what is no token', { 'tokenizer.ggml.merges': ['l qqq'] }, /"l qqq" at 0/],
    ['with fewer types than tokens', { 'tokenizer.ggml.token_type': [1, 2] }, /but 2 of 'tokenizer.ggml.token_type'/],
  ])('%s', async (_, change, message) => {
    await expect(tokenizerFromGguf({ ...metadata, ...change })).rejects.toThrow(message);
  });
});
