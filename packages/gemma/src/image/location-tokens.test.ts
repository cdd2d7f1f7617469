import { expect, it } from 'vitest';
import { DetectionLabelError } from './detection-tokens.js';
import { formatBoxes, parseBoxes } from './location-tokens.js';

const cat = { label: 'cat', yMin: 256 / 1023, xMin: 128 / 1023, yMax: 768 / 1023, xMax: 900 / 1023 };
const dog = { label: 'big dog', yMin: 0, xMin: 0, yMax: 1, xMax: 1 };
const catText = '<loc0256><loc0128><loc0768><loc0900> cat';
const dogText = '<loc0000><loc0000><loc1023><loc1023> big dog';

it('reads boxes', () => {
  expect(parseBoxes(`${catText} ; ${dogText}`)).toEqual({ boxes: [cat, dog], malformed: [] });
  expect(parseBoxes(`${catText};${dogText}<eos>\n`)).toEqual({ boxes: [cat, dog], malformed: [] });
  expect(parseBoxes(`\n${catText}\n${dogText}`)).toEqual({ boxes: [cat, dog], malformed: [] });
  expect(parseBoxes('')).toEqual({ boxes: [], malformed: [] });
});

it('reads boxes without labels, as for referring expressions', () => {
  const locs = catText.slice(0, -4);
  const box = { ...cat, label: '' };
  expect(parseBoxes(locs)).toEqual({ boxes: [box], malformed: [] });
  expect(parseBoxes(locs + locs + ' ; ' + locs)).toEqual({ boxes: [box, box, box], malformed: [] });
});

it.each([
  ['a cat', 'text outside a detection', 'a cat'],
  ['<loc0001><loc0002><loc0003> cat', '3 <loc…> tokens instead of 4', '<loc0001><loc0002><loc0003> cat'],
  ['<loc0001><loc0002><loc0003><loc0004><loc0005> cat', '1 <loc…> tokens instead of 4', '<loc0005> cat'],
  ['<loc0001><loc0002><loc1024><loc0004> cat', '<loc1024> is no token of the vocabulary', undefined],
  ['<loc0001><loc0002><loc03><loc0004> cat', '<loc03> is no token of the vocabulary', undefined],
  ['<loc0001><loc0002><loc0003><loc00', '<loc00 is no token of the vocabulary', undefined],
  ['<loc0500><loc0002><loc0003><loc0004> cat', 'the box is empty: its maximum is not beyond its minimum', undefined],
  ['<loc0001><loc0002><loc0003><loc0004><seg001> cat', '1 <seg…> tokens instead of 16', undefined],
  ['<seg001> cat', '0 <loc…> tokens instead of 4', undefined],
])('reports %j and reads the rest', (junk, problem, text) => {
  const answer = `${dogText} ; ${junk} ; ${catText}`;
  const { boxes, malformed } = parseBoxes(answer);
  const report = { problem, text: text ?? junk };
  expect(malformed).toEqual([{ ...report, start: answer.indexOf(report.text) }]);
  expect(boxes.at(0)).toEqual(dog);
  expect(boxes.at(-1)).toEqual(cat);
});

it('writes what it reads', () => {
  expect(formatBoxes([cat, dog])).toBe(`${catText} ; ${dogText}`);
  expect(parseBoxes(formatBoxes([cat, dog])).boxes).toEqual([cat, dog]);
  // Rounded to the nearest, ties to even, and into the picture.
  const box = { label: '', yMin: -0.2, xMin: 0.5 / 1023, yMax: 1.5 / 1023, xMax: 1.7 };
  expect(formatBoxes([box])).toBe('<loc0000><loc0000><loc0002><loc1023>');
});

it('refuses to write what would read as something else', () => {
  for (const label of ['a;b', ' a', 'a <loc0001>', 'b<seg', 'c<eos>'])
    expect(() => formatBoxes([{ ...cat, label }]), label).toThrow(DetectionLabelError);
  expect(() => formatBoxes([{ ...cat, yMin: Number.NaN }])).toThrow(RangeError);
  expect(() => formatBoxes([{ ...cat, yMax: cat.yMin }])).toThrow(/is empty/);
});

it('survives any junk', () => {
  const pieces = ['<loc0001>', '<loc', '<seg001>', '<seg', ';', ' ', 'cat', '>', '<', '<eos>', '\n', 'é', '<loc9999>'];
  let state = 1;
  for (let round = 0; round < 500; round++) {
    let answer = '';
    for (let i = 0; i < round % 40; i++) {
      state = (Math.imul(state, 1103515245) + 12345) >>> 0;
      answer += pieces[(state >>> 16) % pieces.length];
    }
    for (const { text, start } of parseBoxes(answer).malformed)
      expect(answer.slice(start, start + text.length)).toBe(text);
  }
});
