import { expect, it } from 'vitest';
import { boxesToSvg } from './boxes-to-svg.js';
import { drawBoxes } from './draw-boxes.js';
import { labelColour } from './label-colour.js';
import type { RgbImage } from './rgb-image.js';

const white: RgbImage = { width: 8, height: 6, data: new Uint8Array(8 * 6 * 3).fill(255) };
const box = { label: 'cat', xMin: 0.25, yMin: 0, xMax: 0.75, yMax: 0.5 };
const red = () => [255, 0, 0] as const;
/** One letter a pixel: '.' for white, '#' for red, '+' for between. */
const picture = ({ width, data }: RgbImage) =>
  Array.from({ length: data.length / 3 / width }, (_, y) =>
    Array.from({ length: width }, (_, x) => ({ 255: '.', 0: '#' })[data[(y * width + x) * 3 + 1]!] ?? '+').join(''),
  );

it('draws outlines into a copy', () => {
  const drawn = drawBoxes(white, [box], { thickness: 1, colourOf: red });
  expect(picture(drawn)).toEqual(['..####..', '..#..#..', '..####..', '........', '........', '........']);
  expect(white.data.every((value) => value === 255)).toBe(true);
  const beyond = { label: '', xMin: 0.75, yMin: 0.5, xMax: 2, yMax: 3 };
  expect(picture(drawBoxes(white, [beyond], { thickness: 1, colourOf: red }))).toEqual([
    ...['........', '........', '........', '......##', '......#.', '......#.'],
  ]);
});

it('draws masks over boxes', () => {
  // Left half of the box.
  const mask = Float32Array.from({ length: 64 * 64 }, (_, i) => (i % 64 < 32 ? 1 : 0));
  const drawn = drawBoxes(white, [{ ...box, yMax: 1, mask }], { thickness: 0, colourOf: red });
  expect(picture(drawn)).toEqual(Array(6).fill('..++....'));
  expect(() => drawBoxes(white, [{ ...box, mask: mask.subarray(1) }])).toThrow(RangeError);
});

it('has a colour per label', () => {
  expect(labelColour('cat')).toEqual(labelColour('cat'));
  const colours = new Set(['cat', 'cat2', 'dog', 'cow', 'car', 'bus', 'tree', 'man'].map((l) => labelColour(l).join()));
  expect(colours.size).toBeGreaterThan(6);
  for (const channel of labelColour('x')) expect(channel).toBeLessThanOrEqual(255);
});

it('writes an SVG with escaped labels', () => {
  const label = `</text><script>alert("1")</script>&'\u0000`;
  const svg = boxesToSvg([{ ...box, label }, box], { width: 200, height: 100 });
  expect(svg).toContain('viewBox="0 0 200 100"');
  expect(svg).toContain('<rect x="50" y="0" width="100" height="50"');
  expect(svg).toContain('&lt;/text&gt;&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;&#39; </text>');
  expect(svg.match(/<text /g)).toHaveLength(2);
  expect(svg).not.toContain('script>alert');
});
