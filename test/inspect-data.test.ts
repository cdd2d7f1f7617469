// What `lapidary data` shows is what a run learns from: the same tokens, the same of them learned.
import {
  inspectData,
  resolveTrainConfig,
  tokeniseRows,
  parseRow,
  openModel,
  type TrainConfig,
} from '@lapidary/trainer';
import { renderData } from '@lapidary/trainer/report';
import { gemmaWeightLoader, type WeightLoader } from '@lapidary/weights';
import { beforeAll, describe, expect, it } from 'vitest';
import { chatModelSources } from './support/fixture-sources.js';

const turn = (role: string, content: string, more: object = {}) => ({ role, content, ...more });
const rows = [
  { prompt: 'a lamp', completion: ' by the river 👋' },
  { messages: [turn('user', 'a'), turn('assistant', 'b'), turn('user', 'c'), turn('assistant', 'the lamp')] },
  { text: '水 by the river' },
  { prompt: 'a lamp', completion: ' by the river 👋' },
];

let weightLoader: WeightLoader;
beforeAll(async () => {
  weightLoader = gemmaWeightLoader({ from: await chatModelSources() });
});
const configOf = (over: Partial<TrainConfig> = {}) =>
  resolveTrainConfig({ weightLoader, data: { source: rows }, evalFraction: 0, maxLength: 64, ...over });

it('rows are shown with the tokens that a run learns', async () => {
  const open = await openModel(weightLoader);
  await open.weights.close();
  for (const lossOn of ['completion', 'last', 'all'] as const) {
    const found = await inspectData(configOf({ data: { source: rows, lossOn } }));
    const parsed = rows.map((row, i) => parseRow(row, 'data', i + 1));
    const options = { maxLength: 64, lossOn, tooLong: 'error', file: 'data', model: open.model } as const;
    const { examples } = tokeniseRows(parsed, open.tokenizer, options);
    const learnedOf = (mask: Uint8Array) => [...mask].filter((learned, i) => learned === 1 && i > 0).length;
    expect(found.rows.map(({ pieces }) => pieces.flatMap(({ tokens }) => tokens))).toEqual(
      examples.map(({ tokens }) => [...tokens]),
    );
    expect(
      found.rows.map(({ pieces }) =>
        pieces.flatMap(({ tokens, learned }, at) => tokens.map(() => (at === 0 ? 0 : Number(learned)))),
      ),
    ).toEqual(examples.map(({ lossMask }) => [...lossMask].map((learned, i) => (i === 0 ? 0 : learned))));
    expect(found.train.learned).toBe(examples.reduce((sum, { lossMask }) => sum + learnedOf(lossMask), 0));
  }
});

it('pieces together are the text, whole characters each', async () => {
  const { rows: shown } = await inspectData(configOf(), { rows: 3 });
  expect(shown).toHaveLength(3);
  expect(shown[0]!.pieces.map(({ text }) => text).join('')).toBe('<bos>a lamp by the river 👋<eos>');
  expect(shown[0]!.pieces.some(({ text, tokens }) => text === '👋' && tokens.length === 4)).toBe(true);
  expect(shown.map(({ file, line, form }) => [file, line, form])).toEqual([
    ['data', 1, 'prompt, completion'],
    ['data', 2, 'messages'],
    ['data', 3, 'text'],
  ]);
});

describe('counts', () => {
  const ofLength = (length: number) => ({ text: 'a '.repeat(length) });

  it('lengths as numpy.percentile has them, duplicates, and rows that are held out and learned from', async () => {
    const source = [1, 2, 3, 4, 5, 5, 9, 20, 30, 100].map(ofLength);
    const found = await inspectData(
      configOf({ data: { source }, evalData: { source: [ofLength(5), ofLength(6)] }, maxLength: 400 }),
    );
    const lengths = found.rows.map(({ length }) => length);
    const unit = (lengths[1] ?? 0) - (lengths[0] ?? 0);
    const at = (count: number) => lengths[0]! + (count - 1) * unit;
    // numpy.percentile([1, 2, 3, 4, 5, 5, 9, 20, 30, 100], [0, 50, 95, 100]) is 1, 5, 68.5, 100.
    expect(found.train.lengths.min).toBe(at(1));
    expect(found.train.lengths.median).toBeCloseTo(at(5), 9);
    expect(found.train.lengths.p95).toBeCloseTo(at(68.5), 9);
    expect(found.train.lengths.max).toBe(at(100));
    expect([found.train.rows, found.train.duplicates, found.held?.rows, found.heldInTrain]).toEqual([10, 1, 2, 1]);
    expect(found.train.forms).toEqual({ text: 10 });
  });

  it.each(['error', 'truncate', 'skip'] as const)(
    'rows that are too long are counted, whatever becomes of them (%s)',
    async (tooLong) => {
      const long = { prompt: 'a '.repeat(60), completion: 'b' };
      const found = await inspectData(configOf({ data: { source: [rows[0]!, long], tooLong }, maxLength: 20 }));
      const [, shown] = found.rows;
      expect(found.train).toMatchObject({ rows: 2, tooLong: 1, nothingToLearn: 1, cut: shown!.length - 20 });
      const cut = shown!.pieces.flatMap(({ tokens, cut: isCut }) => tokens.map(() => isCut));
      expect(cut).toEqual(cut.map((_, i) => i >= 20));
    },
  );

  it('the same tokens learned otherwise are no duplicates', async () => {
    const messages = [turn('user', 'a'), turn('assistant', 'b'), turn('user', 'c'), turn('assistant', 'd')];
    const source = [
      { messages },
      { messages: [...messages.slice(0, 1), turn('assistant', 'b', { weight: 0 }), ...messages.slice(2)] },
    ];
    expect((await inspectData(configOf({ data: { source } }))).train.duplicates).toBe(0);
  });
});

it('a row that cannot be used is named, as in a run', async () => {
  await expect(inspectData(configOf({ data: { source: [rows[0]!, { prompt: 'a' }] } }))).rejects.toThrow(
    /^data:2: field 'completion'/,
  );
});

it('the page holds everything, and nothing of the rows as markup', async () => {
  const source = [{ text: '<script>alert(1)</script> & "水"' }];
  const page = renderData(await inspectData(configOf({ data: { source } })));
  expect(page).toMatch(/^<!doctype html>/);
  expect(page).not.toContain('<script>');
  expect(page).not.toMatch(/(src|href)=/);
  expect(page).toContain('水');
  expect(page).toContain('median');
});
