// Tokenizer against Hugging Face's (test/fixtures/tokenizer).
import { createTextStream, tokenizerFromJson } from '@lapidary/gemma';
import { expect, it } from 'vitest';
import { fixtureJson } from './support/safetensors-fixture.js';

interface Cases {
  encode: { text: string; ids: number[]; idsWithBos: number[]; decoded: string }[];
  decode: { ids: number[]; text: string; textWithoutSpecials: string }[];
}

const load = async () =>
  tokenizerFromJson(
    await fixtureJson('tokenizer/tokenizer.json'),
    await fixtureJson('tokenizer/tokenizer_config.json'),
  );

it('encodes and decodes as Hugging Face does', async () => {
  const tokenizer = await load();
  const { encode } = await fixtureJson<Cases>('tokenizer/cases.json');
  for (const { text, ids, idsWithBos, decoded } of encode) {
    expect(tokenizer.encode(text, { addSpecialTokens: false }), JSON.stringify(text)).toEqual(ids);
    expect(tokenizer.encode(text)).toEqual(idsWithBos);
    expect(tokenizer.decode(ids, { skipSpecialTokens: false })).toBe(decoded);
  }
});

it('decodes runs of bytes, UTF-8 or not, as Hugging Face does', async () => {
  const tokenizer = await load();
  const { decode } = await fixtureJson<Cases>('tokenizer/cases.json');
  expect(decode.length).toBeGreaterThan(80);
  for (const { ids, text, textWithoutSpecials } of decode) {
    expect(tokenizer.decode(ids, { skipSpecialTokens: false }), ids.join()).toBe(text);
    expect(tokenizer.decode(ids), ids.join()).toBe(textWithoutSpecials);
  }
});

it('streams text that adds up to the whole, never half a character', async () => {
  const tokenizer = await load();
  const { encode } = await fixtureJson<Cases>('tokenizer/cases.json');
  for (const { ids } of encode) {
    const stream = createTextStream(tokenizer);
    const parts = ids.map((id) => stream.push(id));
    for (const part of parts) expect(part).not.toContain('\ufffd');
    expect(parts.join('') + stream.flush()).toBe(tokenizer.decode(ids));
  }
});

it('streams runs of bytes as they are decoded as a whole', async () => {
  const tokenizer = await load();
  const bytes = (...values: number[]) =>
    values.map((value) => tokenizer.tokenId(`<0x${value.toString(16).toUpperCase().padStart(2, '0')}>`)!);
  const words = tokenizer.encode('The lamp', { addSpecialTokens: false });
  const runs = [bytes(0x7f, 0x87), bytes(0x41, 0xc3, 0xa9, 0xff), bytes(0xf0, 0x9f, 0x91, 0x8b), bytes(0x0a, 0xe2)];
  for (const run of runs) {
    const ids = [...words, ...run, ...words, ...run];
    const stream = createTextStream(tokenizer);
    const parts = ids.map((id) => stream.push(id));
    expect(parts.join('') + stream.flush()).toBe(tokenizer.decode(ids));
  }
});
