import { expect, test } from 'vitest';
import { createStopFilter } from './stop-filter.js';

function through(parts: readonly string[], stop: readonly string[]) {
  const filter = createStopFilter(stop);
  const pieces = parts.map((part) => filter.push(part));
  return { pieces, text: pieces.join('') + filter.flush(), stopped: filter.stopped };
}

test('without stop texts everything passes at once', () => {
  expect(through(['a', 'b'], [])).toEqual({ pieces: ['a', 'b'], text: 'ab', stopped: false });
  expect(through(['a'], [''])).toEqual({ pieces: ['a'], text: 'a', stopped: false });
});

test('a stop text over several parts is not let out, nor what follows', () => {
  expect(through(['one', '\n', '\nE', 'ND two'], ['\n\nEND'])).toEqual({
    pieces: ['one', '', '', ''],
    text: 'one',
    stopped: true,
  });
  expect(through(['a STOP b STOP'], ['STOP', ' b']).text).toBe('a ');
});

test('what only began like one comes out', () => {
  expect(through(['x\n', '\nEN', 'd'], ['\n\nEND'])).toEqual({
    pieces: ['x', '', '\n\nENd'],
    text: 'x\n\nENd',
    stopped: false,
  });
  expect(through(['x aab'], ['aaab']).text).toBe('x aab');
  expect(through(['aa', 'aab!'], ['aaab'])).toMatchObject({ text: 'a', stopped: true });
  expect(through(['end'], ['ending'])).toEqual({ pieces: [''], text: 'end', stopped: false });
});
