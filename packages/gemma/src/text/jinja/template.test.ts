import { afterEach, describe, expect, it, vi } from 'vitest';
import { fixtureJson } from '../../../../../test/support/safetensors-fixture.js';
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

describe('what is not supported is refused by name', () => {
  it.each([
    // What Python writes is another with each run.
    ['{{ range }}', /prints a function/],
    ['{{ bos_token.upper }}', /prints a function/],
    ["{{ [1] | map('string') }}", /prints a generator/],
    ['{{ namespace(a=1) }}', /prints a namespace/],
    // What depends on Python's version, or on a library below it.
    ['{{ 2.0 ** 0.5 }}', /raises a float to a power/],
    ['{{ 2 ** -1 }}', /a negative power/],
    ['{{ [0.1, 0.2] | sum }}', /adds up floats/],
    ["{{ 1 is sameas 1 }}{{ 'a' is sameas 'a' }}", /the same object/],
    ["{{ 'ß' | capitalize }}", /capitalises "ß"/],
    ["{{ 'ΑΣ' | capitalize }}", /'Σ'/],
    ["{{ 'x²'.isdigit() }}", /of digits/],
    ["{{ '٣' | int }}", /digits beyond 0 to 9/],
    // What Jinja has, and is not here.
    ["{{ 'a' | urlencode }}", /the filter 'urlencode' is not supported/],
    ["{{ '%s' % 1 }}", /computes str % int/],
    ["{{ '{}'.format(1) }}", /takes 'format' of a str/],
    ['{{ [1].append(2) }}', /takes 'append' of a list/],
    ["{{ ''.__class__ }}", /takes '__class__' of a str/],
    ['{{ self }}{{ lipsum }}', /reads 'self'/],
    ["{% include 'a' %}", /line 1: 'include' is not supported/],
    ['{% for x in [1] recursive %}{% endfor %}', /'recursive' is not supported/],
    ['{{ range(*[1]) }}', /spread/],
    ['{{ 123456789012345678901 / 3 }}', /more than 2\^53/],
    ['{{ 10 ** 5000 }}', /more than 4300 digits/],
    ['{{ 1e300 * 1e300 }}', /infinite/],
    ["{{ '\\N{DASH}' }}", /line 1: the escape/],
    // What Python refuses too.
    ['{{ 1 / 0 }}', /divides by zero/],
    ["{{ 'a' + 1 }}", /computes str \+ int/],
    ["{{ 1 < 'a' }}", /neither less nor more/],
    ['{{ a.b.c }}', /'a' is not defined/],
    ['\n\n{{ 1 | nofilter }}', /line 3: 'nofilter' is no filter/],
    ['{% if true %}\n{% endfor %}', /line 2: 'endfor' is no tag/],
    ['{% break %}', /break outside of a loop/],
    ['{% set loop = 1 %}', /assigns to 'loop'/],
    ['{% set a.b = 1 %}', /'a', which is no namespace/],
  ])('%s', async (source, message) => {
    await expect(render(source)).rejects.toThrow(message);
    await expect(render(source)).rejects.toBeInstanceOf(ChatTemplateError);
  });

  it.each([
    [
      'a number that JavaScript rounds',
      2 ** 53,
      /whole number 9007199254740992, which JavaScript does not hold exactly/,
    ],
    ['fields whose order is lost', { b: 1, 2: 1 }, /'2': the order of such is not kept/],
    ['a value that is no JSON', () => 1, /a function, which is no JSON/],
  ])('%s', async (_, x, message) => {
    const given = [{ role: 'user', content: 'a', x }] as unknown as ChatMessage[];
    await expect(render('{{ messages[0].x }}', given)).rejects.toThrow(message);
  });

  it('fields by number can be read, where their order does not matter', async () => {
    const given = [{ role: 'user', content: 'a', x: { b: 1, 2: 'two' } }] as unknown as ChatMessage[];
    const source = "{{ messages[0].x['2'] }}{{ messages[0].x | dictsort }}{{ messages[0].x | tojson(sort_keys=true) }}";
    expect(await render(source, given)).toBe(`two[('2', 'two'), ('b', 1)]{"2": "two", "b": 1}`);
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

describe('the time', () => {
  afterEach(() => void vi.useRealTimers());
  it('is written as in Python', async () => {
    const { times } = await fixtureJson<{
      readonly times: readonly { readonly time: string; readonly format: string; readonly text: string }[];
    }>('chat/python.json');
    for (const { time, format, text } of times) {
      vi.useFakeTimers({ now: new Date(time), toFake: ['Date'] });
      expect(await render(`{{ strftime_now('${format}') }}`), `${time} ${format}`).toBe(text);
    }
    await expect(render("{{ strftime_now('%U') }}")).rejects.toThrow(/'%U', which is not supported/);
  });
});
