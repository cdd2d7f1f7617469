import { expect, it } from 'vitest';
import { parseBoxes } from './location-tokens.js';
import { formatSegments, parseSegments } from './segmentation-tokens.js';

const codebookIndices = Array.from({ length: 16 }, (_, i) => (i * 37) % 128);
const tokens = codebookIndices.map((index) => `<seg${String(index).padStart(3, '0')}>`).join('');
const box = { label: 'cat', yMin: 1 / 1023, xMin: 2 / 1023, yMax: 3 / 1023, xMax: 4 / 1023 };
const locs = '<loc0001><loc0002><loc0003><loc0004>';

it('reads and writes segments', () => {
  const answer = `${locs}${tokens} cat ; ${locs} ${tokens} cat`;
  const segment = { ...box, codebookIndices };
  expect(parseSegments(answer)).toEqual({ segments: [segment, segment], malformed: [] });
  expect(parseBoxes(answer)).toEqual({ boxes: [box, box], malformed: [] });
  expect(formatSegments([segment])).toBe(`${locs}${tokens} cat`);
});

it('reports boxes without a mask, too short masks and unknown tokens', () => {
  const { segments, malformed } = parseSegments(
    `${locs} cat ; ${locs}${tokens.slice(8)} dog ; ${locs}${tokens.replace('<seg037>', '<seg128>')} cow`,
  );
  expect(segments).toEqual([]);
  expect(malformed.map(({ problem }) => problem)).toEqual([
    'no <seg…> tokens instead of 16',
    '15 <seg…> tokens instead of 16',
    '<seg128> is no token of the vocabulary',
  ]);
});

it('refuses to write other than 16 indices of the codebook', () => {
  for (const bad of [codebookIndices.slice(1), [...codebookIndices.slice(1), 128], [...codebookIndices.slice(1), 0.5]])
    expect(() => formatSegments([{ ...box, codebookIndices: bad }])).toThrow(RangeError);
});
