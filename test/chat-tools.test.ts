// Conversations with calls of functions, against transformers' text, tokens and mask (test/fixtures/chat/tools.json).
import {
  type ChatMessage,
  ChatTemplateError,
  type ChatTools,
  encodeChat,
  encodeChatPrompt,
  gemmaChatTemplate,
  gemmaPresets,
  lastAnswer,
  modelOf,
  renderChat,
  stopTokensOf,
  type Tokenizer,
  tokenizerFromJson,
  withChatTemplate,
} from '@lapidary/gemma';
import { describe, expect, it } from 'vitest';
import { fixtureJson } from './support/safetensors-fixture.js';

interface Fixture {
  readonly templates: { readonly plain: string; readonly marked: string; readonly third: string };
  /** Tokens beside those of `tokenizer/`. */
  readonly added: readonly { readonly id: number; readonly content: string }[];
  readonly cases: readonly {
    readonly conversation: string;
    readonly messages: readonly ChatMessage[];
    readonly tools?: ChatTools;
    readonly text: string;
    readonly prompt: string;
    readonly ids: number[];
    readonly mask: number[];
    readonly learned: string;
  }[];
}

const { templates, added, cases } = await fixtureJson<Fixture>('chat/tools.json');
const json = await fixtureJson<{ readonly added_tokens: readonly object[] }>('tokenizer/tokenizer.json');
const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: false };
const bare = await tokenizerFromJson(
  { ...json, added_tokens: [...json.added_tokens, ...added.map((token) => ({ ...token, ...flags }))] },
  { bos_token: '<bos>', eos_token: '<eos>' },
);
const stopTokens = stopTokensOf(modelOf(gemmaPresets['gemma-3-270m']), bare);
const options = { template: gemmaChatTemplate, stopTokens };
const tokenizers = {
  plain: await withChatTemplate(bare, { default: templates.plain }),
  marked: await withChatTemplate(bare, { default: templates.marked }),
  third: await withChatTemplate(bare, { default: templates.third }),
};
const withTools = (tools?: ChatTools) => ({ ...options, ...(tools && { tools }) });
const caseOf = (name: string) => cases.find(({ conversation }) => conversation === name)!;

function learned(tokenizer: Tokenizer, messages: readonly ChatMessage[], tools?: ChatTools): string {
  const { tokens, lossMask } = encodeChat(tokenizer, messages, withTools(tools));
  return tokenizer.decode(
    tokens.filter((_, i) => lossMask[i]),
    { skipSpecialTokens: false },
  );
}

describe.each(['plain', 'marked'] as const)('a %s template', (form) => {
  it.each(cases.map((each) => [each.conversation, each] as const))(
    "gives transformers' text, tokens and mask: %s",
    (_, { messages, tools, text, prompt, ids, mask }) => {
      const tokenizer = tokenizers[form];
      expect(renderChat(tokenizer, messages, withTools(tools))).toBe(text);
      expect(renderChat(tokenizer, messages, { ...withTools(tools), addGenerationPrompt: true })).toBe(prompt);
      expect(encodeChatPrompt(tokenizer, messages, withTools(tools))).toEqual(
        tokenizer.encode(prompt, { addSpecialTokens: false }),
      );
      const encoded = encodeChat(tokenizer, messages, withTools(tools));
      expect(encoded.tokens).toEqual(ids);
      expect(encoded.lossMask.map(Number)).toEqual(mask);
    },
  );
});

describe('calls', () => {
  it('end an answer with what opens the response', () => {
    for (const token of ['<eos>', '<end_of_turn>', '<start_function_response>'])
      expect(stopTokens).toContain(bare.tokenId(token));
    const { messages, tools } = caseOf('one call');
    expect(learned(tokenizers.plain, messages, tools)).toMatch(/<end_function_call><start_function_response>$/);
  });

  it('are learned with that mark where only the next message writes it', () => {
    const { messages, tools } = caseOf('one call after another');
    expect(learned(tokenizers.third, messages, tools)).toBe(caseOf('one call after another').learned);
    // And without where nobody does.
    expect(learned(tokenizers.third, caseOf('one call').messages)).toMatch(/^<start_.*<end_function_call>$/);
  });

  it('by themselves or the words after them are learned as weights say', () => {
    const { messages, tools } = caseOf('after an answer');
    for (const tokenizer of [tokenizers.plain, tokenizers.marked]) {
      const only = (...turns: number[]) =>
        learned(
          tokenizer,
          messages.map((message, i) => ({ ...message, weight: turns.includes(i) ? 1 : 0 })),
          tools,
        );
      expect(only(1)).toBe(caseOf('one call').learned);
      expect(only(7)).toBe('Yes.<end_of_turn>');
      expect(only(3, 5)).toBe(
        `No.<end_of_turn>${caseOf('after an answer').learned.split('No.<end_of_turn>')[1]!.replace('Yes.<end_of_turn>', '')}`,
      );
    }
  });

  it('are an answer as the model writes it', () => {
    for (const { messages, tools, learned: said, conversation } of cases) {
      if (conversation === 'marks in what is said') continue;
      const last = messages.findLastIndex(({ role }) => role === 'assistant');
      const answer = lastAnswer(tokenizers.plain, messages, withTools(tools));
      expect(
        said.endsWith(`${answer}${messages[last]!.tool_calls ? '<start_function_response>' : '<end_of_turn>'}`),
      ).toBe(true);
      expect(lastAnswer(tokenizers.marked, messages, withTools(tools))).toBe(answer);
    }
  });
});

describe('what cannot be right is refused by name', () => {
  const user: ChatMessage = { role: 'user', content: 'x' };
  const calling = (args: string): ChatMessage => ({
    role: 'assistant',
    tool_calls: [{ id: '1', function: { name: 'light', arguments: args } }],
  });
  const render = (messages: readonly ChatMessage[]) => () => renderChat(tokenizers.plain, messages, options);

  it.each(['{"a": 1', '[1]', '"a"', '1', ''])('arguments that are no JSON object: %j', (args) => {
    expect(render([user, calling(args)])).toThrow(ChatTemplateError);
    expect(render([user, calling(args)])).toThrow(/message 2 calls 'light' with arguments that are no JSON object/);
  });

  it('a call that nothing answers', () => {
    expect(render([user, calling('{}'), user])).toThrow(/a response must follow a call/);
  });

  it('a response to no call that there was', () => {
    expect(render([user, calling('{}'), { role: 'tool', content: 'x', tool_call_id: '2' }])).toThrow(/needs the name/);
  });

  it('a response in parts, where the template does not read them, or from others than a tool', async () => {
    const source = '{% for m in messages %}{{ m.role }}{{ m.content }}{% endfor %}{{ m.tool_calls }}{{ m.name }}';
    const tokenizer = await withChatTemplate(bare, { default: source });
    const content = [{ name: 'light', response: 1 }];
    expect(() => renderChat(tokenizer, [user, { role: 'tool', content }], options)).toThrow(/message 2 has a part/);
    expect(render([{ role: 'user', content }])).toThrow(/message 1 has a part/);
  });

  it('tools, where the model came without a template', () => {
    const { messages, tools } = caseOf('one call');
    expect(() => encodeChat(bare, messages, withTools(tools))).toThrow(/without a chat template.*chat_template\.jinja/);
  });
});

it.each([
  ['{{ c.function.arguments }}', '{"a":  1.0}'],
  ["{{- '<' + c['function']['arguments'] + '>' -}}", '<{"a":  1.0}>'],
  ['{{ "<" ~ c.function.arguments }}', '<{"a":  1.0}'],
  ['{{ c.function.arguments | tojson }}', '{"a": 1.0}'],
  ['{% macro f(x) %}{{ x.a }}{% endmacro %}{{ f(c.function.arguments) }}', '1.0'],
  ['{% set given = c.function.arguments %}{{ given.a }}', '1.0'],
  [
    '{% if c.function.arguments is string %}{{ c.function.arguments }}{% else %}{{ c.function.arguments.a }}{% endif %}',
    '{"a":  1.0}',
  ],
  ['{% for k in c.function.arguments %}{{ k ~ c.function.arguments[k] }}{% endfor %}', 'a1.0'],
])('arguments that are a text stay one where they are only printed: %s', async (body, written) => {
  const source = `{% for m in messages %}{% for c in m.tool_calls or [] %}${body}{% endfor %}{% endfor %}`;
  const tokenizer = await withChatTemplate(bare, { default: source });
  const calls = [{ function: { name: 'f', arguments: '{"a":  1.0}' } }];
  const messages: ChatMessage[] = [
    { role: 'user', content: 'x' },
    { role: 'assistant', tool_calls: calls },
  ];
  expect(renderChat(tokenizer, messages, options)).toBe(written);
});
