import { describe, expect, it } from 'vitest';
import { ChatTemplateError, type ChatMessage } from '../chat-message.js';
import { compileChatTemplate } from '../chat-template.js';

const options = { bosToken: '<bos>', eosToken: '<eos>', addGenerationPrompt: true };
const turns: ChatMessage[] = [
  { role: 'user', content: 'a' },
  { role: 'model', content: 'b\nc' },
];
const render = async (source: string, messages: readonly ChatMessage[] = turns) =>
  (await compileChatTemplate(source))(messages, options).text;

describe('what templates do', () => {
  it.each([
    ["{% for m in messages %}{{ m['role'] }}:{{ m.content }};{% endfor %}", 'user:a;assistant:b\nc;'],
    ['{% for i in range(3) %}{{ i }}{% endfor %}{{ range(4, 0, -2) | list | length }}', '0122'],
    [
      "{% set ns = namespace(x='') %}{% for m in messages %}{% set ns.x = ns.x + m.content %}{% endfor %}{{ ns.x }}",
      'ab\nc',
    ],
    ['{% macro m(a) %}[{{ a }}]{% endmacro %}{{ m(bos_token) }}{{ m(none) }}', '[<bos>][None]'],
    ["{{ 'a\nb' | indent(2) }}", 'a\n  b'],
    [
      '{{ messages | tojson(indent=2) }}',
      JSON.stringify(
        [
          { role: 'user', content: 'a' },
          { role: 'assistant', content: 'b\nc' },
        ],
        null,
        2,
      ),
    ],
    ["{% if True and not False and true %}{{ strftime_now('%Y') | length }}{% endif %}", '4'],
    ['{{ 10 ** 12 }}', '1000000000000'],
  ])('%s', async (source, text) => {
    expect(await render(source)).toBe(text);
  });

  it('a conversation of 3000 turns, each of which looks at the one before', async () => {
    const many = Array.from(
      { length: 3000 },
      (_, i): ChatMessage => ({ role: i % 2 ? 'model' : 'user', content: `${i} `.repeat(50) }),
    );
    const source =
      '{% for m in messages %}{{ m.content | trim }}{% if loop.index0 > 0 %}{{ messages[loop.index0 - 1].role }}{% endif %}{% endfor %}';
    expect((await render(source, many)).length).toBeGreaterThan(500_000);
  });
});

describe('what templates may not do', () => {
  const doubling = (value: string, times = 60) =>
    `{% set ns = namespace(a='x') %}{% for i in range(${times}) %}{% set ns.a = ${value} %}{% endfor %}`;
  it.each([
    ['count to 10^12', '{% for i in range(10 ** 12) %}x{% endfor %}', /counts 1000000000000 numbers/],
    ['count down for ever', '{{ range(0, 10 ** 15, 0) }}', /in steps of 0/],
    ['count to what is no number', "{{ range('x') }}", /counts to x, no whole number/],
    ['loop in loops', '{% for i in range(1000) %}'.repeat(4) + '{% endfor %}'.repeat(4), /too much work/],
    ['call itself', '{% macro m(a) %}{{ m(a) }}{% endmacro %}{{ m(1) }}', /nests deeper/],
    ['call itself twice', '{% macro m(a) %}{{ m(a) }}{{ m(a) }}{% endmacro %}{{ m(1) }}', /nests deeper/],
    ['double a text', doubling('ns.a + ns.a'), /a text of more than|too much work/],
    ['double a list and write it', `${doubling('[ns.a, ns.a]')}{{ ns.a | tojson }}`, /more than 4194304 values/],
    [
      'double a list in namespaces',
      `${doubling('[namespace(b=ns.a), namespace(b=ns.a)]')}{{ ns.a }}`,
      /prints a namespace/,
    ],
    ['indent by a million', "{{ 'a\nb' | indent(1000000) }}", /indents by 1000000/],
    ['indent by what is computed', "{{ 'a\nb' | indent(width=1000 * 1000) }}", /indents by 1000000/],
    ['indent JSON by a million', '{{ messages | tojson(indent=1000000) }}', /indents by 1000000/],
    ['nest without end', `{{ ${'('.repeat(3000)}1${')'.repeat(3000)} }}`, /./],
    ['nest operators', `{{ ${'not '.repeat(3000)}1 }}`, /nests deeper|call stack/],
    ['be a book', 'x'.repeat(2 ** 20 + 1), /at most 1048576 are read/],
    ['throw what it likes', "{{ raise_exception('no system role') }}", /no system role/],
    ['be no template', '{% for %}', /./],
  ])('%s', async (_, source, message) => {
    const failed = expect(render(source)).rejects;
    await failed.toBeInstanceOf(ChatTemplateError);
    await expect(render(source)).rejects.toThrow(message);
  });
});
