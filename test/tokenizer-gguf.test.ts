// The tokenizer of a GGUF against Hugging Face's with the same words (test/fixtures/tokenizer), and files that say what is not so.
import { TokenizerError, tokenizerFromGguf } from '@lapidary/gemma';
import { openGguf } from '@lapidary/weights';
import { expect, it } from 'vitest';
import { fixtureSources } from './support/fixture-sources.js';
import { fixtureJson } from './support/safetensors-fixture.js';

const [file] = await fixtureSources('gguf/gemma3-tiny-f32.gguf');
const { metadata } = await openGguf(file!);
const tokens = metadata['tokenizer.ggml.tokens'] as string[];
const { encode } = await fixtureJson<{ encode: { text: string; ids: number[]; idsWithBos: number[] }[] }>(
  'tokenizer/cases.json',
);
const kinds = { normal: 1, control: 3, userDefined: 4 } as const;
const markers = ['<pad>', '<eos>', '<bos>', '<start_of_turn>', '<end_of_turn>'];

/** The file's metadata with other kinds for some tokens. */
function typed(kind: number, names: readonly string[]) {
  const types = (metadata['tokenizer.ggml.token_type'] as number[]).map((type, id) =>
    names.includes(tokens[id]!) ? kind : type,
  );
  return { ...metadata, 'tokenizer.ggml.token_type': types };
}

it.each<[string, Record<string, unknown>]>([
  ['as it is', metadata],
  ['that calls all markers ordinary words', typed(kinds.normal, markers)],
  ['that calls the beginning of a turn ordinary', typed(kinds.normal, ['<start_of_turn>'])],
  ['that calls all markers words of the user', typed(kinds.userDefined, markers)],
])('encodes as Hugging Face does with a file %s', async (_, said) => {
  const tokenizer = await tokenizerFromGguf(said);
  for (const { text, ids, idsWithBos } of encode) {
    expect(tokenizer.encode(text, { addSpecialTokens: false }), JSON.stringify(text)).toEqual(ids);
    expect(tokenizer.encode(text)).toEqual(idsWithBos);
  }
  const turn = '<start_of_turn>user\nWhy?<end_of_turn>\n';
  const found = tokenizer.encode(turn, { addSpecialTokens: false });
  for (const marker of ['<start_of_turn>', '<end_of_turn>']) expect(found).toContain(tokenizer.tokenId(marker));
  // Markers are no text.
  expect(tokenizer.decode(found)).toBe('user\nWhy?\n');
});

it('begins no text with <bos> where the file says so', async () => {
  const tokenizer = await tokenizerFromGguf({ ...metadata, 'tokenizer.ggml.add_bos_token': false });
  for (const { text, ids } of encode) expect(tokenizer.encode(text)).toEqual(ids);
});

it.each<[string, unknown]>([
  ['tokenizer.ggml.add_eos_token', true],
  ['tokenizer.ggml.add_space_prefix', true],
  ['tokenizer.ggml.remove_extra_whitespaces', true],
  ['tokenizer.ggml.precompiled_charsmap', [1, 2]],
  ['tokenizer.ggml.bos_token_id', 'two'],
  ['tokenizer.ggml.model', 'gpt2'],
])('refuses %s = %j', async (key, value) => {
  const read = tokenizerFromGguf({ ...metadata, [key]: value });
  await expect(read).rejects.toThrow(TokenizerError);
  await expect(read).rejects.toThrow(key === 'tokenizer.ggml.model' ? 'gpt2' : key);
});

it('refuses two tokens of one text, which would be one', async () => {
  const twice = tokens.with(-1, tokens.at(-2)!);
  await expect(tokenizerFromGguf({ ...metadata, 'tokenizer.ggml.tokens': twice })).rejects.toThrow(/twice/);
});
