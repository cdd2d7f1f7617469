import type { DataInspection, DataPart } from '../metrics/data-inspection.js';

/** What is told of data, as names and values. */
export function dataFacts(data: DataInspection): string[][] {
  const { train, held, heldInTrain } = data;
  return [
    ['To learn from', rowsOf(train.rows)],
    ...factsOf(train, data),
    ...(held === null ? [] : [['To evaluate on', rowsOf(held.rows)], ...factsOf(held, data)]),
    ...(heldInTrain > 0 ? [['Learned from too', `${count(heldInTrain)} of the rows to evaluate on`]] : []),
  ];
}

const count = (value: number) => value.toLocaleString('en', { maximumFractionDigits: 1 });
const rowsOf = (rows: number) => (rows === 1 ? '1 row' : `${count(rows)} rows`);

/** What becomes of rows that are too long. */
const fates = {
  error: 'a run ends with an error; raise maxLength, or set tooLong to truncate or skip',
  truncate: 'cut',
  skip: 'left out',
} as const;

function factsOf(part: DataPart, { maxLength, tooLong }: DataInspection): string[][] {
  const { forms, lengths, tokens, learned, cut, nothingToLearn, duplicates } = part;
  const share = tokens === 0 ? 0 : (100 * learned) / tokens;
  const fate = tooLong === 'truncate' ? `cut, ${count(cut)} tokens of them` : fates[tooLong];
  return [
    [
      'Forms',
      Object.entries(forms)
        .map(([form, many]) => `{${form}} ${count(many)}`)
        .join(', '),
    ],
    [
      'Tokens a row',
      `min ${count(lengths.min)}, median ${count(lengths.median)}, p95 ${count(lengths.p95)}, max ${count(lengths.max)}`,
    ],
    ['Tokens', count(tokens)],
    ['Learned', `${count(learned)} (${share.toFixed(1)}%)`],
    [
      'Too long',
      part.tooLong === 0
        ? `none (maxLength ${maxLength})`
        : `${rowsOf(part.tooLong)} of more than ${maxLength} tokens: ${fate}`,
    ],
    ...(nothingToLearn === 0 ? [] : [['Nothing to learn', `${rowsOf(nothingToLearn)} within maxLength`]]),
    ['Duplicates', duplicates === 0 ? 'none' : rowsOf(duplicates)],
  ];
}
