// Conversations against transformers' chat templates, and its masks of what the model says (test/fixtures/chat).
import {
  type ChatMessage,
  ChatTemplateError,
  chatTemplatesOf,
  type ChatTools,
  encodeChat,
  encodeChatPrompt,
  gemmaChatTemplate,
  renderChat,
  type Tokenizer,
  tokenizerFromJson,
  withChatTemplate,
} from '@lapidary/gemma';
import { describe, expect, it } from 'vitest';
import { fixtureJson } from './support/safetensors-fixture.js';

interface Fixture {
  readonly templates: Readonly<Record<string, { readonly plain: string; readonly marked: string }>>;
  readonly cases: readonly {
    readonly template: string;
    readonly conversation: string;
    readonly messages: readonly ChatMessage[];
    readonly tools?: ChatTools;
    readonly text: string;
    readonly prompt: string;
    readonly ids: number[];
    readonly mask: number[];
  }[];
}

const { templates, cases } = await fixtureJson<Fixture>('chat/cases.json');
const bare = await tokenizerFromJson(await fixtureJson('tokenizer/tokenizer.json'), {
  bos_token: '<bos>',
  eos_token: '<eos>',
});
const stopTokens = [bare.eosId, bare.tokenId('<end_of_turn>')!];
const options = { template: gemmaChatTemplate, stopTokens };
const withTemplate = (source: string) => withChatTemplate(bare, { default: source });
/** What is learned, as texts. */
function learned(tokenizer: Tokenizer, messages: readonly ChatMessage[], tools?: ChatTools): string {
  const { tokens, lossMask } = encodeChat(tokenizer, messages, { ...options, ...(tools && { tools }) });
  return tokenizer.decode(
    tokens.filter((_, i) => lossMask[i]),
    { skipSpecialTokens: false },
  );
}
const user = (content: ChatMessage['content']): ChatMessage => ({ role: 'user', content: content ?? null });
const model = (content: ChatMessage['content'], more: Partial<ChatMessage> = {}): ChatMessage => ({
  role: 'assistant',
  content: content ?? null,
  ...more,
});

for (const form of ['plain', 'marked'] as const) {
  it.each(cases.map((each) => [`${each.template}, ${each.conversation}`, each] as const))(
    `a ${form} template gives transformers' text, tokens and mask: %s`,
    async (_, { template, messages, tools, text, prompt, ids, mask }) => {
      const tokenizer = await withTemplate(templates[template]![form]);
      const given = { ...options, ...(tools && { tools }) };
      expect(renderChat(tokenizer, messages, given)).toBe(text);
      expect(renderChat(tokenizer, messages, { ...given, addGenerationPrompt: true })).toBe(prompt);
      expect(encodeChatPrompt(tokenizer, messages, given)).toEqual(
        tokenizer.encode(prompt, { addSpecialTokens: false }),
      );
      const encoded = encodeChat(tokenizer, messages, given);
      expect(encoded.tokens).toEqual(ids);
      expect(encoded.lossMask.map(Number)).toEqual(mask);
    },
  );
}

interface PythonCase {
  readonly source: string;
  readonly messages: readonly ChatMessage[];
  readonly text: string;
}

it.each(
  (await fixtureJson<{ readonly cases: readonly PythonCase[] }>('chat/python.json')).cases.map(
    (each) => [each.source, each] as const,
  ),
)('a template computes as in Python: %j', async (_, { source, messages, text }) => {
  expect(renderChat(await withTemplate(source), messages, options)).toBe(text);
});

it.each(
  (await fixtureJson<{ readonly reasoned: readonly PythonCase[] }>('chat/python.json')).reasoned.map(
    (each) => [each.source, Object.keys(each.messages[1]!).at(-1), each] as const,
  ),
)('what was thought has the names that it has in Python: %s, %s', async (_, field, { source, messages, text }) => {
  const tokenizer = await withTemplate(source);
  expect(renderChat(tokenizer, messages, options)).toBe(text);
  // Left out of what is said it is no loss; of what is learned it would be.
  if (!text.includes('why')) expect(() => encodeChat(tokenizer, messages, options)).toThrow(`message 2 has '${field}'`);
});

describe('without a template', () => {
  it("a conversation is written in the family's turns", () => {
    const messages = [user('  The lamp\n'), model(' by the river '), user('Why?')];
    expect(renderChat(bare, messages, { ...options, addGenerationPrompt: true })).toBe(
      '<bos><start_of_turn>user\nThe lamp<end_of_turn>\n<start_of_turn>model\nby the river<end_of_turn>\n<start_of_turn>user\nWhy?<end_of_turn>\n<start_of_turn>model\n',
    );
    expect(learned(bare, [user('a'), { role: 'model', content: 'b' }])).toBe('b<end_of_turn>');
  });

  it.each<[string, readonly ChatMessage[], RegExp]>([
    ['the model first', [model('x')], /message 1 is from 'assistant'.*expected 'user'/],
    ['two of the user', [user('x'), user('y')], /message 2 is from 'user'.*expected 'model'/],
    ['a tool', [user('x'), { role: 'tool', content: 'y' }], /message 2 is from 'tool'/],
    ['no message', [], /no messages/],
    ['a turn without content', [user(null), model('x')], /message 1 is from 'user' and has no content/],
    [
      'a call',
      [user('x'), model(null, { tool_calls: [{ function: { name: 'f', arguments: '{}' } }] })],
      /'tool_calls'/,
    ],
  ])('what takes no turns is refused: %s', (_, messages, message) => {
    expect(() => encodeChat(bare, messages, options)).toThrow(ChatTemplateError);
    expect(() => encodeChat(bare, messages, options)).toThrow(message);
  });

  it('tools are refused, a system message goes before the first user’s', () => {
    expect(() => encodeChat(bare, [user('x'), model('y')], { ...options, tools: [{}] })).toThrow(/tools/);
    const messages: ChatMessage[] = [{ role: 'system', content: 'Be kind.' }, user('Hi'), model('Hello')];
    expect(encodeChat(bare, messages, options).systemFolded).toBe(true);
    expect(renderChat(bare, messages, options)).toContain('user\nBe kind.\n\nHi<end_of_turn>');
  });
});

describe('what a template does not say', () => {
  it('a template that knows no system has it before the first user’s message', async () => {
    const tokenizer = await withTemplate(templates['strict']!.plain);
    const messages: ChatMessage[] = [{ role: 'system', content: 'Be kind.' }, user('Hi'), model('Hello')];
    const encoded = encodeChat(tokenizer, messages, options);
    expect(encoded.systemFolded).toBe(true);
    expect(learned(tokenizer, messages)).toBe('Hello<end_of_turn>');
    // Where it does not help, the first error is told.
    expect(() => encodeChat(tokenizer, [{ role: 'system', content: 'x' }, model('y')], options)).toThrow(
      /System role not supported/,
    );
  });

  it('fields that a template passes over are refused by name', async () => {
    const tokenizer = await withTemplate(templates['prefix']!.plain);
    const call = model(null, { tool_calls: [{ function: { name: 'f', arguments: '{}' } }] });
    expect(() => encodeChat(tokenizer, [user('x'), call], options)).toThrow(/message 2 has 'tool_calls'/);
    expect(() =>
      encodeChat(tokenizer, [user('x'), { ...model('y'), reasoning_content: 'z' } as ChatMessage], options),
    ).toThrow(/message 2 has 'reasoning_content'/);
    expect(() => encodeChat(tokenizer, [user('x'), model('y')], { ...options, tools: [{}] })).toThrow(/tools/);
    const picture = [{ type: 'image_url', image_url: {} }] as unknown as ChatMessage['content'];
    expect(() => encodeChat(tokenizer, [user(picture), model('y')], options)).toThrow(/message 1 .*"image_url"/);
    // Nothing in them: nothing is lost.
    const empty = { ...model('y'), tool_calls: [], reasoning_content: null } as ChatMessage;
    expect(learned(tokenizer, [user('x'), empty])).toBe('y<end_of_turn>');
  });

  it('parts are joined for a template that does not tell them apart', async () => {
    const tokenizer = await withTemplate(templates['strict']!.plain);
    const parts = [
      { type: 'text', text: 'a ' },
      { type: 'text', text: 'b' },
    ] as const;
    expect(renderChat(tokenizer, [user(parts), model('c')], options)).toContain('user\na b<end_of_turn>');
  });

  it('turns of weight 0 are not learned', async () => {
    for (const form of ['plain', 'marked'] as const) {
      const tokenizer = await withTemplate(templates['prefix']![form]);
      const messages = [user('x'), model('first', { weight: 0 }), user('y'), model('second', { weight: 1 })];
      expect(learned(tokenizer, messages)).toBe('second<end_of_turn>');
    }
  });

  it('a template that writes earlier turns otherwise later must say itself what is learned', async () => {
    const last = `{% for m in messages %}{{ m.role }}: {{ m.content }}{% if loop.last %}<eos>{% endif %}\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}`;
    const tokenizer = await withTemplate(last);
    expect(() => encodeChat(tokenizer, [user('a'), model('b'), user('c'), model('d')], options)).toThrow(
      /otherwise when the conversation goes on.*\{% generation %\}/,
    );
    const marked = await withTemplate(
      `{% for m in messages %}{{ m.role }}: {% if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}{% else %}{{ m.content }}{% endif %}{% if loop.last %}<eos>{% endif %}\n{% endfor %}`,
    );
    expect(learned(marked, [user('a'), model('b'), user('c'), model('d')])).toBe(' b d');
  });

  it('what it would write otherwise than transformers is refused', async () => {
    const refused = async (source: string, content: string, message: RegExp) => {
      const tokenizer = await withTemplate(source);
      expect(() => encodeChat(tokenizer, [user(content), model('y')], options)).toThrow(ChatTemplateError);
      expect(() => encodeChat(tokenizer, [user(content), model('y')], options)).toThrow(message);
    };
    const marked = '{% generation %} {{ messages[1].content }} {% endgeneration %}';
    // Where it stands in the whole text is not told.
    for (const source of [
      `{% filter trim %}${marked}{% endfilter %}`,
      `{% set a %}${marked}{% endset %}{{ a | length }}`,
      `{% macro m() %}${marked}{% endmacro %}{{ m() }}`,
      `{% generation %}${marked}{% endgeneration %}`,
    ])
      await refused(source, 'x', /has \{% generation %\} within a macro/);
    await refused('{{ messages[0].content }}', '\ud83d', /half a character/);
    await refused(
      '{{ pad_token }}{{ messages[0].content }}',
      'x',
      /'pad_token', which is not supported; of special tokens only bos_token and eos_token/,
    );
    await refused('{{ messages }}{{ range }}', 'x', /prints a function/);
    await refused("{{ messages[0].content.strip('x', 1) }}", 'x', /not known/);
  });

  it('a template that cannot be read says so when a conversation needs it', async () => {
    const tokenizer = await withTemplate('{% for message in %}');
    expect(() => encodeChat(tokenizer, [user('x'), model('y')], options)).toThrow(ChatTemplateError);
    const unended = await withTemplate('{% generation %}{{ messages[0].content }}');
    expect(() => encodeChat(unended, [user('x'), model('y')], options)).toThrow(/'endgeneration' is missing/);
  });
});

it('takes the template that a tokenizer_config.json names', async () => {
  const named = (name: string, template: string) => ({ name, template });
  expect(chatTemplatesOf(undefined)).toBeUndefined();
  expect(chatTemplatesOf('a')).toEqual({ default: 'a' });
  const both = chatTemplatesOf([named('tool_use', 'tools {{ tools | tojson }}'), named('default', 'plain')])!;
  const tokenizer = await withChatTemplate(bare, both);
  expect(tokenizer.chatTemplate).toBe('plain');
  expect(renderChat(tokenizer, [user('x')], options)).toBe('plain');
  expect(renderChat(tokenizer, [user('x')], { ...options, tools: [{ a: 1 }] })).toBe('tools [{"a": 1}]');
  for (const wrong of [[named('rag', 'x')], 7, {}, [null], ['a']])
    expect(() => chatTemplatesOf(wrong)).toThrow(ChatTemplateError);
});
