// Tokenizer against Hugging Face's (test/fixtures/tokenizer).
import { createTextStream, tokenizerFromJson, sampleToken, createRandom } from '@lapidary/gemma';
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

it('samples by probability, within top-k and top-p, the same for the same seed', () => {
  const logits = Float32Array.of(0, Math.log(2), Math.log(5), -40);
  const draw = (options: object, seed = 1) => {
    const random = createRandom(seed);
    const counts = [0, 0, 0, 0];
    for (let i = 0; i < 8000; i++) counts[sampleToken(logits, { ...options, random })]!++;
    return counts;
  };
  expect(draw({ temperature: 0 })).toEqual([0, 0, 8000, 0]);
  draw({}).forEach((n, i) => expect(Math.abs(n / 8000 - [1 / 8, 2 / 8, 5 / 8, 0][i]!)).toBeLessThan(0.02));
  expect(draw({ topK: 2 })[0]).toBe(0);
  expect(draw({ topP: 0.6 })).toEqual([0, 0, 8000, 0]);
  expect(draw({}, 7)).toEqual(draw({}, 7));
});
