export type RowsFormat = 'jsonl' | 'csv';

const words =
  'the of and to in is that for it as was with be by on not he his but at are this have from or had an they which one you were all her she there would their we him been has when who will no more if out so up said what its about than into them can only other time new some could these two may first then do any like my now over such our man me even most made after also did many off before must well back through years where much your way down should because long each just state those people too little good world make very year still see own work men day get here'.split(
    ' ',
  );

/** Prompts and completions of words, as a file in pieces of a megabyte. */
export function* makeRows(count: number, format: RowsFormat): Generator<string> {
  let seed = 12345;
  const roll = (n: number) => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return Math.floor((seed / 2 ** 32) * n);
  };
  const text = (least: number, most: number) =>
    Array.from({ length: least + roll(most - least) }, () => words[roll(words.length)]).join(' ');
  let piece = format === 'csv' ? 'prompt,completion\n' : '';
  for (let i = 0; i < count; i++) {
    const [prompt, completion] = [`Question ${i}: ${text(10, 35)}?`, `${text(8, 28)}.`];
    piece += format === 'csv' ? `${prompt},${completion}\n` : `${JSON.stringify({ prompt, completion })}\n`;
    if (piece.length < 2 ** 20) continue;
    yield piece;
    piece = '';
  }
  yield piece;
}
