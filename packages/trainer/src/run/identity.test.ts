import { expect, test } from 'vitest';
import { ResumeMismatchError } from '../errors/errors.js';
import { compareIdentity, type Identity } from './identity.js';

const saved: Identity = {
  data: 'aa',
  evalData: 'bb',
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
