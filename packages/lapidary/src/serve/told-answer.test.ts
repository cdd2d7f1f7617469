import { describe, expect, it } from 'vitest';
import { createCallFilter, toldAnswer } from './told-answer.js';

const call = '<start_function_call>call:light{room:<escape>hall<escape>,level:40}<end_function_call>';
const told = { type: 'function', function: { name: 'light', arguments: '{"room":"hall","level":40}' } };

describe('an answer', () => {
  it('is what it says, and what it calls', () => {
    expect(toldAnswer(call, true)).toMatchObject({ content: null, calls: [told] });
    const { content, calls } = toldAnswer(`Well: ${call}${call}`, true);
    expect(content).toBe('Well:');
    expect(calls).toMatchObject([told, told]);
    expect(calls[0]!.id).toMatch(/^call_[0-9a-f]{32}$/);
    expect(calls[1]!.id).not.toBe(calls[0]!.id);
  });

  it('is a text where calls are not told, are cut off, or are none', () => {
    for (const [text, tells] of [
      [call, false],
      [call.slice(0, -3), true],
      [call.replace('call:', ''), true],
      [' Hello ', true],
    ] as const)
      expect(toldAnswer(text, tells)).toEqual({ content: text, calls: [] });
  });
});

describe('an answer that comes in pieces', () => {
  it.each([1, 3, 7, 200])('is the same, %i characters at a time', (size) => {
    for (const [text, before, content, count] of [
      [`Well: ${call} and ${call}`, 'Well: ', 'and', 2],
      [call, '', null, 1],
      ['a < b, <start_of> c', 'a < b, <start_of> c', '', 0],
      [`Well: ${call.slice(0, -3)}`, 'Well: ', call.slice(0, -3), 0],
      ['x <start_function_', 'x ', '<start_function_', 0],
    ] as const) {
      const filter = createCallFilter(true);
      let said = '';
      for (let at = 0; at < text.length; at += size) said += filter.push(text.slice(at, at + size));
      const rest = filter.end();
      expect(said).toBe(before);
      expect(rest.content).toBe(content);
      expect(rest.calls).toHaveLength(count);
    }
  });

  it('is let through where calls are not told', () => {
    const filter = createCallFilter(false);
    expect(filter.push(call)).toBe(call);
    expect(filter.end()).toEqual({ content: '', calls: [] });
  });
});
