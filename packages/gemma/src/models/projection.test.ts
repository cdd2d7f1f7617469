import { expect, it } from 'vitest';
import { dropoutStream } from './projection.js';

const slots = Array.from({ length: 16 }, (_, slot) => slot);

it('a run that was begun with eight linears a block goes on with the same draws', () => {
  expect(slots.slice(0, 8).map((slot) => dropoutStream(0, slot))).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  expect(dropoutStream(25, 6)).toBe(206);
});

it('no two linears share a stream', () => {
  const streams = Array.from({ length: 4096 }, (_, block) => slots.map((slot) => dropoutStream(block, slot))).flat();
  expect(new Set(streams).size).toBe(streams.length);
  expect(streams.every((stream) => Math.fround(stream) === stream)).toBe(true);
  expect(() => dropoutStream(0, 16)).toThrow(RangeError);
});
