import { type ChatMessage, compileChatTemplate } from '@lapidary/gemma';
import type { Dice } from '../dice.js';
import { changedText } from '../mutate-json.js';
import { encode, type FuzzReader, mustHold } from '../reader.js';

const atoms = [
  'messages',
  'message',
  "message['role']",
  'message.content',
  'bos_token',
  'add_generation_prompt',
  'loop.index0',
  'loop',
  'ns',
  'ns.a',
  's',
  "'x'",
  "''",
  '0',
  '1',
  '-1',
  '3.5',
  '1000000000000',
  'none',
  'true',
  '[]',
  '[1, 2]',
  "{'a': 1}",
  'undefined_name',
  'range',
  'namespace',
];

const filters = [
  'trim',
  'length',
  'upper',
  'tojson',
  'tojson(indent=1000000)',
  'list',
  'first',
  'last',
  'join',
  "join(', ')",
  "replace('a', 'bb')",
  'indent(100000)',
  'int',
  'string',
  'items',
  "map(attribute='content')",
  "selectattr('role', 'equalto', 'user')",
  'sort',
  'unique',
  'default(1)',
  'reverse',
  'safe',
  'abs',
];

function expression(dice: Dice, depth = 0): string {
  const inner = () => expression(dice, depth + 1);
  if (depth > 3) return dice.pick(atoms);
  switch (dice.below(12)) {
    case 0:
      return `${inner()} ${dice.pick(['+', '-', '*', '/', '//', '%', '~', '**', '==', '!=', '<', 'in', 'not in', 'and', 'or'])} ${inner()}`;
    case 1:
      return `(${inner()})`;
    case 2:
    case 3:
      return `${inner()} | ${dice.pick(filters)}`;
    case 4:
      return `${inner()}[${dice.chance(0.5) ? inner() : `${dice.below(3)}:`}]`;
    case 5:
      return `${dice.pick(['range', 'namespace', 'm', 'raise_exception', 'strftime_now', "''.join", "'ab'.split"])}(${dice.chance(0.7) ? inner() : ''})`;
    case 6:
      return `${inner()} is ${dice.pick(['defined', 'string', 'mapping', 'none', 'iterable', 'odd', 'not defined'])}`;
    case 7:
      return `${inner()} if ${inner()} else ${inner()}`;
    case 8:
      return `not ${inner()}`;
    case 9:
      return `[${inner()}, ${inner()}]`;
    default:
      return dice.pick(atoms);
  }
}

function statements(dice: Dice, depth = 0): string {
  return dice
    .list(dice.between(1, 3), () => {
      const body = () => (depth > 3 ? 'x' : statements(dice, depth + 1));
      switch (dice.below(11)) {
        case 0:
        case 1:
          return `{% for message in ${dice.chance(0.6) ? 'messages' : expression(dice)} %}${body()}{% endfor %}`;
        case 2:
          return `{% for i in range(${dice.pick(['3', '1000', '10 ** 12', '100000', '-1'])}) %}${body()}{% endfor %}`;
        case 3:
          return `{% if ${expression(dice)} %}${body()}{% else %}${body()}{% endif %}`;
        case 4:
          return `{% set ${dice.pick(['s', 'ns.a', 'ns'])} = ${expression(dice)} %}`;
        case 5:
          return `{% set ns = namespace(a='x') %}{% for i in range(${dice.pick(['5', '60'])}) %}{% set ns.a = ${dice.pick(['ns.a + ns.a', '[ns.a, ns.a]', 'ns.a ~ ns.a', 'ns', "ns.a | replace('x', ns.a)"])} %}{% endfor %}`;
        case 6:
          return `{% macro m(a) %}${body()}${dice.pick(['{{ m(a) }}', ''])}{% endmacro %}{{ m(1) }}`;
        case 7:
          return dice.pick(['{# note #}', '{%- if true -%} x {%- endif -%}', '{{ "{{" }}', '\n', ' <start_of_turn>']);
        default:
          return `{{ ${expression(dice)} }}`;
      }
    })
    .join('');
}

const turns: readonly ChatMessage[] = [
  { role: 'user', content: 'a b' },
  { role: 'model', content: 'xy\nz' },
  { role: 'user', content: '' },
];

/** Jinja templates of conversations. */
export const chatTemplateReader: FuzzReader = {
  name: 'chat-template',
  make(dice) {
    const written = statements(dice);
    const nested = (text: string, count: number) => text.repeat(count);
    const source = dice.chance(0.9)
      ? dice.chance(0.2)
        ? changedText(written, dice)
        : written
      : dice.pick([
          `{{ ${nested('(', 5000)}1${nested(')', 5000)} }}`,
          `{{ ${nested('not ', 20000)}1 }}`,
          `{{ 1${nested(' + 1', 20000)} }}`,
          nested('{% if true %}', 3000) + nested('{% endif %}', 3000),
          nested('{% for i in range(9) %}', 12) + nested('{% endfor %}', 12),
          nested('{{ bos_token }}', 20000),
        ]);
    return { 'template.jinja': encode(source) };
  },
  async read({ 'template.jinja': bytes }) {
    const template = await compileChatTemplate(new TextDecoder().decode(bytes));
    const text = template(turns, { bosToken: '<bos>', eosToken: '<eos>', addGenerationPrompt: true });
    mustHold(typeof text === 'string', 'it renders no text');
  },
};
