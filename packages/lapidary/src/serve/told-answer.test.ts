import { describe, expect, it } from 'vitest';
import { createAnswerFilter, toldAnswer } from './told-answer.js';

const call = '<start_function_call>call:light{room:<escape>hall<escape>,level:40}<end_function_call>';
const all = { thoughts: true, calls: true };
const none = { thoughts: false, calls: false };
const thought = '<|channel>thought\nIt is late.\n\nAnd dark.\n<channel|>';
const told = { type: 'function', function: { name: 'light', arguments: '{"room":"hall","level":40}' } };

describe('an answer', () => {
  it('is what it says, and what it calls', () => {
    expect(toldAnswer(call, all)).toMatchObject({ content: null, calls: [told] });
    const { content, calls } = toldAnswer(`Well: ${call}${call}`, all);
    expect(content).toBe('Well:');
    expect(calls).toMatchObject([told, told]);
    expect(calls[0]!.id).toMatch(/^call_[0-9a-f]{32}$/);
    expect(calls[1]!.id).not.toBe(calls[0]!.id);
  });

  it('is a text where calls are not told, are cut off, or are none', () => {
    for (const [text, tells] of [
      [call, none],
      [call.slice(0, -3), all],
      [call.replace('call:', ''), all],
      [' Hello ', all],
      [thought, none],
    ] as const)
      expect(toldAnswer(text, tells)).toEqual({ content: text, thoughts: '', calls: [] });
  });
});

describe('thoughts', () => {
  it.each<[string, string, string | null, string, number]>([
    ['before an answer', `${thought}So.`, 'So.', 'It is late.\n\nAnd dark.', 0],
    ['alone', thought, null, 'It is late.\n\nAnd dark.', 0],
    ['that are empty', '<|channel>thought\n<channel|>So.', 'So.', '', 0],
    ['that are empty, without their line', '<|channel>thought<channel|>So.', 'So.', '', 0],
    ['that are cut off', '<|channel>thought\nIt is la', null, 'It is la', 0],
    ['that are cut off at once', '<|channel>thou', '', '', 0],
    ['before a call', `${thought}${call}`, null, 'It is late.\n\nAnd dark.', 1],
    ['that a call ends', `<|channel>thought\nI look.${call}`, null, 'I look.', 1],
    ['twice', `${thought}a${thought}b`, 'ab', 'It is late.\n\nAnd dark.It is late.\n\nAnd dark.', 0],
    ['of a mark that is none', 'a <|chan b', 'a <|chan b', '', 0],
  ])('%s are told apart, whole or in pieces', (_, text, content, thoughts, calls) => {
    const whole = toldAnswer(text, all);
    expect(whole).toMatchObject({ content, thoughts });
    expect(whole.calls).toHaveLength(calls);
    for (const size of [1, 2, 5]) {
      const filter = createAnswerFilter(all);
      const said = { content: '', thoughts: '' };
      for (let at = 0; at < text.length; at += size) {
        const part = filter.push(text.slice(at, at + size));
        said.content += part.content;
        said.thoughts += part.thoughts;
      }
      const rest = filter.end();
      expect(said.content + (rest.content ?? '')).toBe(content ?? '');
      expect(said.thoughts + rest.thoughts).toBe(thoughts);
      expect(rest.calls).toHaveLength(calls);
    }
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
      const filter = createAnswerFilter(all);
      let said = '';
      for (let at = 0; at < text.length; at += size) said += filter.push(text.slice(at, at + size)).content;
      const rest = filter.end();
      expect(said).toBe(before);
      expect(rest.content).toBe(content);
      expect(rest.calls).toHaveLength(count);
    }
  });

  it('is let through where calls are not told', () => {
    const filter = createAnswerFilter(none);
    expect(filter.push(call)).toEqual({ content: call, thoughts: '' });
    expect(filter.end()).toEqual({ content: '', thoughts: '', calls: [] });
  });
});
