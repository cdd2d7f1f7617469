// The files beside a tokenizer, against what transformers makes of them (test/fixtures/tokenizer-files).
import { type ChatMessage, type ChatTools, gemmaChatTemplate, renderChat, tokenizerFromJson } from '@lapidary/gemma';
import { openModel } from '@lapidary/trainer';
import { bufferSource, modelWeightLoader } from '@lapidary/weights';
import { expect, it } from 'vitest';
import { chatModelSources } from './support/fixture-sources.js';
import { fixtureJson } from './support/safetensors-fixture.js';

interface Fixture {
  readonly text: string;
  readonly messages: readonly ChatMessage[];
  readonly tools: ChatTools;
  readonly cases: readonly {
    readonly name: string;
    readonly changes: Readonly<Record<string, string | object>>;
    readonly ids: readonly number[];
    readonly bos: number;
    readonly eos: number;
    readonly plain: string | { readonly error: string };
    readonly tools: string | { readonly error: string };
    readonly empty: string | { readonly error: string };
  }[];
}

const { text, messages, tools, cases } = await fixtureJson<Fixture>('tokenizer-files/cases.json');
const own: Readonly<Record<string, object>> = {
  'tokenizer.json': await fixtureJson('tokenizer/tokenizer.json'),
  'tokenizer_config.json': await fixtureJson('tokenizer/tokenizer_config.json'),
};

/** What is read where transformers has something that is not supported here, or nothing for some conversations. */
const refused: Readonly<Record<string, RegExp>> = {
  'post_processor with eos':
    /tokenizer\.json: post_processor puts <eos> behind every text, but a Gemma 3 goes on with a text/,
  'special_tokens_map.json with a new token':
    /additional_special_tokens names "hi t", which is none of the added_tokens/,
  'tool_use alone': /additional_chat_templates\/tool_use\.jinja is there without a chat_template\.jinja/,
};

async function open(changes: Readonly<Record<string, string | object>>) {
  const files = {
    ...own,
    ...changes,
    'tokenizer.json': { ...own['tokenizer.json'], ...Object(changes['tokenizer.json'] ?? {}) } as object,
  };
  const sources = Object.entries(files).map(([name, content]) =>
    bufferSource(name, new TextEncoder().encode(typeof content === 'string' ? content : JSON.stringify(content))),
  );
  const named = (name: string) => name.slice(name.lastIndexOf('/') + 1);
  const model = (await chatModelSources()).filter(({ name }) => !sources.some((source) => named(source.name) === name));
  const { tokenizer, weights } = await openModel(modelWeightLoader({ from: [...model, ...sources] }));
  await weights.close();
  return tokenizer;
}

it('ends texts as transformers does where the model makes vectors of them', async () => {
  const { changes, ids } = cases.find(({ name }) => name === 'post_processor with eos')!;
  const json = { ...own['tokenizer.json'], ...Object(changes['tokenizer.json']) } as object;
  const tokenizer = await tokenizerFromJson(json, own['tokenizer_config.json']);
  expect(tokenizer.encode(text)).toEqual(ids);
  expect(tokenizer.encode('')).toEqual([tokenizer.bosId, tokenizer.eosId]);
  expect(tokenizer.encode(text, { addSpecialTokens: false })).toEqual(ids.slice(1, -1));
});

it.each(cases.map((each) => [each.name, each] as const))('%s', async (name, expected) => {
  const { changes } = expected;
  if (refused[name] !== undefined) {
    await expect(open(changes)).rejects.toThrow(refused[name]);
    return;
  }
  const tokenizer = await open(changes);
  expect(tokenizer.encode(text)).toEqual(expected.ids);
  expect([tokenizer.bosId, tokenizer.eosId]).toEqual([expected.bos, expected.eos]);
  const written = (given?: ChatTools) =>
    renderChat(tokenizer, messages, { template: gemmaChatTemplate, ...(given && { tools: given }) });
  // Without a template there is the family's here.
  if (typeof expected.plain !== 'string') return;
  expect(written()).toBe(expected.plain);
  if (!expected.plain.includes('<start_of_turn>')) {
    expect(written(tools)).toBe(expected.tools);
    expect(written([])).toBe(expected.empty);
  }
});
