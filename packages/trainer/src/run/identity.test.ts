import { expect, test } from 'vitest';
import { ResumeMismatchError } from '../errors/errors.js';
import { compareIdentity, fingerprintExample, type Identity } from './identity.js';

const saved: Identity = {
  data: 'aa',
  evalData: 'bb',
  byRow: true,
  tokenizer: 'cc',
  model: { family: 'pebble', sizes: [1, 2], inner: { depth: 3 } },
  weights: 'dd',
  adapter: null,
};

test('all that differs is named, with both values', () => {
  const now = { ...saved, data: 'ab', model: { ...saved.model, inner: { depth: 4 } } };
  const differing = () => compareIdentity(saved, now, 'out');
  expect(differing).toThrow(ResumeMismatchError);
  expect(differing).toThrow(/data: saved "aa", now "ab"\n {2}model\.inner\.depth: saved 3, now 4$/);
});

test('an adapter to go on from is part of it', () => {
  const begun = { ...saved, adapter: 'ee' };
  expect(compareIdentity(begun, begun, 'out')).toEqual([]);
  expect(() => compareIdentity(begun, { ...begun, adapter: 'ef' }, 'out')).toThrow(/adapter: saved "ee", now "ef"$/);
  expect(() => compareIdentity(saved, begun, 'out')).toThrow(/adapter: saved null, now "ee"$/);
  expect(() => compareIdentity(begun, saved, 'out')).toThrow(/adapter: saved "ee", now null$/);
});

test('what is not known yet is not compared, what cannot be compared is said', () => {
  expect(compareIdentity(saved, saved, 'out')).toEqual([]);
  expect(compareIdentity(saved, { weights: 'dd' }, 'out')).toEqual([]);
  expect(compareIdentity(saved, { tokenizer: null }, 'out').join()).toMatch(/Whether the tokenizer .* is not known/);
  expect(compareIdentity({ ...saved, tokenizer: null }, saved, 'out')).toHaveLength(1);
  expect(compareIdentity(undefined, saved, 'out').join()).toMatch(/earlier version/);
});

test('rows that an earlier version told apart in another way are not compared, and that is said', () => {
  const { byRow: _, ...earlier } = saved;
  expect(compareIdentity(earlier, { ...saved, data: 'ab' }, 'out').join()).toMatch(/earlier version.* rows/);
  expect(compareIdentity(earlier, { weights: 'dd' }, 'out')).toEqual([]);
  expect(() => compareIdentity(earlier, { ...saved, weights: 'de' }, 'out')).toThrow(/weights: saved "dd"/);
});

test('weights that an earlier version hashed in another way are not compared, and that is said', () => {
  expect(compareIdentity(saved, { weights: '4:de' }, 'out').join()).toMatch(/earlier version.* weights/);
  expect(() => compareIdentity({ ...saved, weights: '4:dd' }, { weights: '4:de' }, 'out')).toThrow(/weights: saved/);
});

test('a row is told from others by all of it but its place', () => {
  const example = { row: { line: 1, text: 'a' }, length: 2, patches: 0, tokens: Int32Array.of(2, 5) };
  const same = { ...example, row: { line: 7, file: 'other.jsonl', text: 'a' } };
  expect(fingerprintExample(same)).toBe(fingerprintExample(example));
  for (const other of [
    { ...example, row: { line: 1, text: 'b' } },
    { ...example, length: 3 },
    { ...example, tokens: Int32Array.of(2, 6) },
  ])
    expect(fingerprintExample(other)).not.toBe(fingerprintExample(example));
});
