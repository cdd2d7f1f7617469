import type { BaseWeights } from '@lapidary/weights';
import { expect, test } from 'vitest';
import { baseWeightsOf, compareBaseWeights } from './base-weights.js';

const base = (tensors: Record<string, string>, format: BaseWeights['format'] = 'safetensors'): BaseWeights => ({
  format,
  tensors: new Map(Object.entries(tensors)),
});
const trained = base({ a: 'bf16 00000001', b: 'bf16 00000002', c: 'f32 00000003', d: 'f32 00000004' });
const compare = (now: BaseWeights) => compareBaseWeights(trained, now, 'out/first');

test('what is written down is type and hash of what the adapter leaves as it is', () => {
  const hashes = new Map([
    ['a', '0fffffff'],
    ['b', '00000002'],
  ]);
  const dtypeOf = (path: string) => (path === 'a' ? 'bf16' : 'f32');
  const { tensors } = baseWeightsOf({ format: 'gguf', hashes, dtypeOf, isReplaced: (path) => path === 'b' });
  expect([...tensors]).toEqual([['a', 'bf16 0fffffff']]);
});

test('the same base says nothing, also where a parameter of it was trained whole', () => {
  expect(compare(trained)).toBeNull();
  expect(compare(base({ ...Object.fromEntries(trained.tensors), e: 'f32 00000009' }))).toBeNull();
});

test('other values of the same type are refused, and named', () => {
  const now = Object.fromEntries(trained.tensors);
  expect(() => compare(base({ ...now, c: 'f32 00000004' }))).toThrow(/out\/first was trained over other weights.*: c/);
  const all = Object.fromEntries(
    [...trained.tensors].map(([path, text]) => [path, text.replace('0000000', '0000001')]),
  );
  expect(() => compare(base(all))).toThrow(/: a, b, c and 1 more/);
  expect(() => compare(base({ ...now, a: 'f32 00000001', c: 'f32 00000009' }))).toThrow(/: c/);
});

test('what an earlier version hashed otherwise is not known', () => {
  const now = Object.entries(Object.fromEntries(trained.tensors)).map(([path, text]) => [path, `${text}00000000`]);
  expect(compare(base(Object.fromEntries(now)))).toMatch(/whether they are of the same model is not known/);
});

test('other types and other formats cannot be compared, which is told', () => {
  const now = Object.fromEntries(trained.tensors);
  expect(compare(base({ ...now, a: 'f32 00000009' }))).toMatch(
    /over safetensors of bf16, f32, and this base is safeten/,
  );
  expect(compare(base({ ...now, c: 'f32 00000009' }, 'gguf'))).toMatch(/this base is gguf of bf16, f32: whether/);
});
