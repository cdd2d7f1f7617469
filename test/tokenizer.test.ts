// Tokenizer and chat template against Hugging Face's (test/fixtures/tokenizer).
import {
  createTextStream,
  encodeChat,
  renderChat,
  tokenizerFromJson,
  ChatTemplateError,
  compileChatTemplate,
  sampleToken,
  createRandom,
} from '@lapidary/gemma';
import { expect, it } from 'vitest';
import { fixtureJson } from './support/safetensors-fixture.js';

interface Cases {
  encode: { text: string; ids: number[]; idsWithBos: number[]; decoded: string }[];
  decode: { ids: number[]; text?: string; decoded?: string; textWithSpecials?: string }[];
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

it("encodes a chat to the ids of its rendered text, with the loss on the model's turns", async () => {
  const tokenizer = await load();
  const messages = [
    { role: 'user', content: 'The lamp' },
    { role: 'model', content: 'by the river' },
    { role: 'user', content: 'Why?' },
    { role: 'assistant', content: 'So.' },
  ] as const;
  const { tokens, lossMask } = encodeChat(tokenizer, messages);
  const whole = renderChat(tokenizer, messages);
  expect(tokens).toEqual(tokenizer.encode(whole, { addSpecialTokens: false }));
  const learned = tokenizer.decode(
    tokens.filter((_, i) => lossMask[i]),
    { skipSpecialTokens: false },
  );
  expect(learned).toBe('by the river<end_of_turn>So.<end_of_turn>');
  expect(() => renderChat(tokenizer, [{ role: 'model', content: 'x' }])).toThrow(ChatTemplateError);
  expect(() =>
    renderChat(tokenizer, [
      { role: 'user', content: 'x' },
      { role: 'user', content: 'y' },
    ]),
  ).toThrow(/message 2/);
});

it('renders without a template as the Jinja template of a Gemma tokenizer does', async () => {
  const tokenizer = await load();
  expect(tokenizer.chatTemplate).toContain('<start_of_turn>');
  const { chatTemplate: _source, applyChatTemplate: _apply, ...without } = tokenizer;
  const messages = [
    { role: 'user', content: '  The lamp\n' },
    { role: 'model', content: ' by the river ' },
    { role: 'user', content: 'Why?' },
  ] as const;
  for (const addGenerationPrompt of [false, true])
    expect(renderChat(without, messages, { addGenerationPrompt })).toBe(
      renderChat(tokenizer, messages, { addGenerationPrompt }),
    );
});

it('says that a template cannot be read when a conversation needs it', async () => {
  const applyChatTemplate = await compileChatTemplate('{% for message in %}');
  const tokenizer = { ...(await load()), applyChatTemplate };
  expect(() => renderChat(tokenizer, [{ role: 'user', content: 'x' }])).toThrow(ChatTemplateError);
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
