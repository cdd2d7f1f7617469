// Conversations with system turns, thoughts and calls, against transformers' text, tokens and mask (test/fixtures/chat/turns.json).
import {
  type ChatMessage,
  ChatTemplateError,
  type ChatTemplateKwargs,
  type ChatTools,
  encodeChat,
  encodeChatPrompt,
  gemmaChatTemplate,
  lastAnswer,
  renderChat,
  type Tokenizer,
  tokenizerFromJson,
  withChatTemplate,
} from '@lapidary/gemma';
import { describe, expect, it } from 'vitest';
import { fixtureJson } from './support/safetensors-fixture.js';

type Size = 'small' | 'large';
interface Fixture {
  readonly templates: Readonly<Record<Size, { readonly plain: string; readonly marked: string }>>;
  readonly tools: ChatTools;
  readonly cases: readonly {
    readonly template: Size;
    readonly conversation: string;
    readonly messages: readonly ChatMessage[];
    readonly tools?: true;
    readonly kwargs?: ChatTemplateKwargs;
    readonly text: string;
    readonly prompt: string;
    readonly ids: number[];
    readonly mask: number[];
    readonly learned: string;
  }[];
}

const { templates, tools, cases } = await fixtureJson<Fixture>('chat/turns.json');
const bare = await tokenizerFromJson(
  await fixtureJson('tokenizer-merges/tokenizer.json'),
  await fixtureJson('tokenizer-merges/tokenizer_config.json'),
);
const stopTokens = ['<eos>', '<turn|>', '<|tool_response>'].map((token) => bare.tokenId(token)!);
const options = { template: gemmaChatTemplate, stopTokens };
const withTemplate = (source: string) => withChatTemplate(bare, { default: source });
const small = await withTemplate(templates.small.plain);
const thinking = { ...options, kwargs: { enable_thinking: true } };

function learned(tokenizer: Tokenizer, messages: readonly ChatMessage[], given: typeof options = options): string {
  const { tokens, lossMask } = encodeChat(tokenizer, messages, given);
  return tokenizer.decode(
    tokens.filter((_, i) => lossMask[i]),
    { skipSpecialTokens: false },
  );
}
const user = (content: string): ChatMessage => ({ role: 'user', content });
const model = (content: string | null, more: Partial<ChatMessage> = {}): ChatMessage => ({
  role: 'assistant',
  content,
  ...more,
});
const call = { function: { name: 'f', arguments: { a: 1 } } };

describe.each(['plain', 'marked'] as const)('a %s template', (form) => {
  it.each(cases.map((each) => [`${each.template}, ${each.conversation}`, each] as const))(
    "gives transformers' text, tokens and mask: %s",
    async (_, { template, messages, kwargs, text, prompt, ids, mask, ...rest }) => {
      const tokenizer = await withTemplate(templates[template][form]);
      const given = { ...options, ...(rest.tools && { tools }), ...(kwargs && { kwargs }) };
      expect(renderChat(tokenizer, messages, given)).toBe(text);
      expect(renderChat(tokenizer, messages, { ...given, addGenerationPrompt: true })).toBe(prompt);
      expect(encodeChatPrompt(tokenizer, messages, given)).toEqual(
        tokenizer.encode(prompt, { addSpecialTokens: false }),
      );
      const encoded = encodeChat(tokenizer, messages, given);
      expect(encoded.tokens).toEqual(ids);
      expect(encoded.lossMask.map(Number)).toEqual(mask);
      expect(encoded.systemFolded).toBe(false);
    },
  );
});

describe('thoughts', () => {
  it('of earlier turns cannot be learned, since the template leaves them out', () => {
    const thought = (weight?: 0) => model('So.', { reasoning_content: 'It is late.', ...(weight === 0 && { weight }) });
    const messages = [user('Why?'), thought(), user('And now?'), thought()];
    expect(() => encodeChat(small, messages, thinking)).toThrow(/message 2 .*earlier turns.*lossOn 'last'/);
    expect(learned(small, messages.with(1, thought(0)), thinking)).toBe(
      '<|channel>thought\nIt is late.\n<channel|>So.<turn|>',
    );
  });

  it('are not learned where a template marks what the model says without them', async () => {
    const marked = await withTemplate(templates.small.marked);
    const messages = [user('Why?'), model('So.', { reasoning_content: 'It is late.' }), user('And?'), model('No.')];
    expect(() => encodeChat(marked, messages, thinking)).toThrow(/message 2 has 'reasoning_content'/);
    const last = messages.with(1, { ...messages[1]!, weight: 0 });
    expect(learned(marked, last, thinking)).toBe('No.<turn|>');
  });

  it('within a content are refused: the template takes them out', () => {
    const messages = [user('Why?'), model('<|channel>thought\nIt is late.\n<channel|>So.')];
    expect(() => encodeChat(small, messages, thinking)).toThrow(/message 2 has thoughts within its content/);
    // Of a conversation that goes on they are left out, as they should be.
    expect(renderChat(small, [...messages, user('And?')], options)).toContain('<|turn>model\nSo.<turn|>');
  });

  it('that nothing asked for by a template of an older form are refused where they would be lost', async () => {
    const older = await withTemplate(templates.small.plain.replace('loop.index0 > ns.asked', 'given'));
    const messages = [user('Why?'), model('So.', { reasoning_content: 'It is late.' })];
    expect(() => encodeChat(older, messages, thinking)).toThrow(/message 2 has 'reasoning_content'/);
  });

  it('that a prompt opens are not learned, nor where nothing was thought then', () => {
    const messages = [
      user('Rain?'),
      model(null, { tool_calls: [call] }),
      { role: 'tool', name: 'f', content: 'dry' },
      model('No.'),
    ] as const;
    expect(renderChat(small, messages.slice(0, 3), { ...thinking, addGenerationPrompt: true })).toMatch(
      /<tool_response\|><\|channel>thought\n$/,
    );
    expect(learned(small, messages, thinking)).toBe('<|tool_call>call:f{a:1}<tool_call|><|tool_response>No.<turn|>');
  });
});

describe('calls', () => {
  it('are the answer as the model writes it', () => {
    const { messages } = cases.find(({ conversation }) => conversation === 'two calls')!;
    expect(lastAnswer(small, messages, { ...options, kwargs: {} })).toBe(
      '<|tool_call>call:weather{place:<|"|>Bern<|"|>}<tool_call|><|tool_call>call:weather{place:<|"|>Basel<|"|>,unit:<|"|>celsius<|"|>}<tool_call|>',
    );
  });

  it('with words beside them cannot be learned where the template writes those behind the responses', () => {
    const messages = [
      user('Rain?'),
      model('I look.', { tool_calls: [call] }),
      { role: 'tool', name: 'f', content: 'dry' },
      model('No.'),
    ] as const;
    expect(() => encodeChat(small, messages, options)).toThrow(/message 2 .*beside its calls/);
  });

  it('take responses as texts in turns of their own', () => {
    const messages = [
      user('Rain?'),
      model(null, { tool_calls: [call] }),
      { role: 'tool', content: { name: 'f', response: { rain: false } } },
    ] as const;
    expect(() => encodeChatPrompt(small, messages, options)).toThrow(/message 3 has a response as an object/);
  });
});

describe('what a template takes beside messages', () => {
  const messages = [user('Why?'), model('So.')];
  it.each<[string, ChatTemplateKwargs]>([
    ['it knows nothing of', { think_hard: true }],
    ['it has anyway', { messages: [] }],
    ['is no name', { 'a.b': 1 }],
  ])('is refused where %s', (_, kwargs) => {
    expect(() => renderChat(small, messages, { ...options, kwargs })).toThrow(ChatTemplateError);
    expect(() => renderChat(small, messages, { ...options, kwargs })).toThrow(Object.keys(kwargs)[0]!);
  });

  it('may say no to what it knows nothing of, and is refused by templates of a family', async () => {
    expect(renderChat(small, messages, { ...options, kwargs: { think_hard: false } })).toContain('So.');
    expect(() => renderChat(bare, messages, thinking)).toThrow(/enable_thinking/);
  });
});
