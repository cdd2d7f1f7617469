import { describe, expect, it } from 'vitest';
import { parseJson, showValue } from './json.js';

const nested = (open: string, close: string, count: number) => open.repeat(count) + close.repeat(count);

describe('parseJson', () => {
  it.each(['null', '1', '"a"', '[]', '{"a": [1, {"b": null}]}', nested('[', ']', 100)])('reads %s', (text) => {
    expect(parseJson(text)).toEqual(JSON.parse(text));
  });

  it.each([
    ['lists', nested('[', ']', 102)],
    ['objects', nested('{"a":', '}', 5000).replace(':}', ':0}')],
    ['lists, as deep as no function can follow', nested('[', ']', 1_000_000)],
    ['something deep beside what is not', `[1, {"a": ${nested('[', ']', 300)}}]`],
  ])('refuses %s', (_, text) => {
    expect(() => parseJson(text)).toThrow(new SyntaxError('its lists and objects nest deeper than 100 levels'));
  });

  it.each(['', '{', '{"a": }', "{'a': 1}"])('refuses %j, which is no JSON', (text) => {
    expect(() => parseJson(text)).toThrow(SyntaxError);
  });
});

describe('showValue', () => {
  it.each([
    [undefined, 'missing'],
    [null, 'null'],
    ['x', '"x"'],
    [2n ** 60n, '1152921504606846976'],
    [{ a: 2n }, 'an object'],
    [{ toString: 1 }, '{"toString":1}'],
    ['a'.repeat(200), `"${'a'.repeat(79)}…`],
    [() => 1, 'function'],
  ])('%#', (value, text) => {
    expect(showValue(value)).toBe(text);
  });

  it('takes a list that is as deep as no function can follow', () => {
    // Some engines write it out, others overflow.
    expect(showValue(JSON.parse(nested('[', ']', 100_000)))).toMatch(/^(a list of 1|\[{80}…)$/);
  });
});
