import { describe, expect, it } from 'vitest';
import { readFunctionCalls, sameFunctionCalls } from './function-calls.js';

describe.each([
  ['<start_function_call>', '<end_function_call>', '<escape>'],
  ['<|tool_call>', '<tool_call|>', '<|"|>'],
])('calls in an answer, between %s and %s', (start, end, quote) => {
  const call = (body: string) => `${start}call:${body}${end}`;
  const text = (value: string) => `${quote}${value}${quote}`;

  it.each<[string, string, object]>([
    // From Google's documentation of the format.
    ['a text', `get_current_weather{location:${text('Tokyo, Japan')}}`, { location: 'Tokyo, Japan' }],
    [
      'several',
      `f{a:${text('x')},b:2,c:-1.5e3,d:true,e:false,f:null}`,
      { a: 'x', b: 2, c: -1500, d: true, e: false, f: null },
    ],
    ['lists and objects', `f{a:[1,[${text('b')}],{}],c:{d:{e:[]}}}`, { a: [1, ['b'], {}], c: { d: { e: [] } } }],
    ['nothing', 'f{}', {}],
    ['signs in a text', `f{a:${text(`{x:1},"]\n[${end}`)}}`, { a: `{x:1},"]\n[${end}` }],
    ['blanks', `f { a : ${text(' b ')} , c : [ 1 , 2 ] } `, { a: ' b ', c: [1, 2] }],
    ['an escaped key', `f{${text('a b')}:1}`, { 'a b': 1 }],
    [
      "an object's own names",
      `f{__proto__:1,constructor:${text('x')}}`,
      JSON.parse('{"__proto__":1,"constructor":"x"}'),
    ],
    ['what Python prints', 'f{a:True,b:None}', { a: true, b: null }],
  ])('%s', (_, body, args) => {
    const { calls, content } = readFunctionCalls(call(body))!;
    expect(calls).toHaveLength(1);
    expect(calls[0]!.name).toBe(body.split(/[ {]/)[0]);
    expect(calls[0]!.arguments).toEqual(args);
    expect(Object.keys(calls[0]!.arguments)).toEqual(Object.keys(args));
    expect(content).toBe('');
  });

  it('several, with words beside them', () => {
    expect(readFunctionCalls(` Now: ${call('f{}')}\n${call('g{a:1}')} `)).toEqual({
      content: 'Now:',
      calls: [
        { name: 'f', arguments: {} },
        { name: 'g', arguments: { a: 1 } },
      ],
    });
  });

  it.each([
    ['none', 'It rains.'],
    ['no end', `${start}call:f{a:1}`],
    ['no call', `${start}f{a:1}${end}`],
    ['no name', call('{a:1}')],
    ['no fields', call('f')],
    ['a text that does not end', call(`f{a:${quote}b}`)],
    ['a bare word', call('f{a:Tokyo}')],
    ['a number that is none', call('f{a:01}')],
    ['a key twice', call('f{a:1,a:2}')],
    ['a comma too many', call('f{a:1,}')],
    ['a bracket too few', call('f{a:[1}')],
    ['something after the fields', call('f{a:1}b')],
    ['one right, one wrong', `${call('f{a:1}')}${call('f{a:}')}`],
    ['too deep', call(`f{a:${'['.repeat(20_000)}}`)],
  ])('are a text where there is %s', (_, answer) => {
    expect(readFunctionCalls(answer)).toBeUndefined();
  });

  it('are the same whatever the order of keys, and how values are written', () => {
    const one = call(`f{a:${text('x')},b:{c:1,d:[1,2]}}`);
    expect(sameFunctionCalls(one, call(`f{b:{d:[1, 2],c:1.0}, a:${text('x')}}`))).toBe(true);
    for (const other of [
      call(`f{a:${text('x')},b:{c:1,d:[2,1]}}`),
      call(`f{a:${text('X')},b:{c:1,d:[1,2]}}`),
      call(`g{a:${text('x')},b:{c:1,d:[1,2]}}`),
      call(`f{a:${text('x')},b:{c:1,d:[1,2]},e:null}`),
      call(`f{a:${text('x')}}`),
      `${one}${one}`,
      `Well: ${one}`,
      'x',
    ])
      expect(sameFunctionCalls(one, other)).toBe(false);
    expect(sameFunctionCalls(call(`f{a:${text('1')}}`), call('f{a:1}'))).toBe(false);
    expect(sameFunctionCalls('no call', one)).toBeUndefined();
  });
});
