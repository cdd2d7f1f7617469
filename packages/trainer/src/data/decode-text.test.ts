import { expect, test } from 'vitest';
import { decodeText } from './decode-text.js';
import { DatasetError } from './errors.js';

const bytesOf = (text: string) => new TextEncoder().encode(text);

test('text that is UTF-8 comes as it is', () => {
  for (const text of ['', 'a\n', 'Grüße, 水, 👋, \ufffd\n']) expect(decodeText(bytesOf(text), 'rows.jsonl')).toBe(text);
});

test('what is no UTF-8 is an error with its line, not a replacement character', () => {
  const good = bytesOf('{"text": "é"}\n\n{"text": "');
  const latin1 = Uint8Array.of(...good, 0xe9, ...bytesOf('"}\n'));
  expect(() => decodeText(latin1, 'rows.jsonl')).toThrow(DatasetError);
  expect(() => decodeText(latin1, 'rows.jsonl')).toThrow(/^rows\.jsonl:3: .*UTF-8/);
  // Cut off within a character.
  expect(() => decodeText(bytesOf('a\né').subarray(0, 3), 'x')).toThrow(/^x:2:/);
  expect(() => decodeText(Uint8Array.of(0xff, 0xfe, 0x7b, 0), 'x')).toThrow(/^x:1: .*UTF-16/);
});
