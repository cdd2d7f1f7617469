import { expect, test } from 'vitest';
import { isTooDeep } from './json-depth.js';

const nested = (depth: number) => JSON.parse(`${'[{"a":'.repeat(depth)}0${'}]'.repeat(depth)}`) as unknown;

test('what stands in itself too deep for those who call themselves', () => {
  for (const fine of [null, 0, 'x', [], {}, nested(40), Array.from({ length: 100_000 }, () => [1])])
    expect(isTooDeep(fine)).toBe(false);
  for (const deep of [nested(60), nested(100_000)]) expect(isTooDeep(deep)).toBe(true);
  const circle: unknown[] = [];
  circle.push(circle);
  expect(isTooDeep(circle)).toBe(true);
});
