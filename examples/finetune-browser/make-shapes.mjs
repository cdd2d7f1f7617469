// Makes shapes.jsonl beside this file, of pictures and captions that the vision example has: node make-shapes.mjs
import { readFileSync, writeFileSync } from 'node:fs';

/** Rows, each with a picture of its own: no picture that is held out has been learned from. */
const count = 400;
const data = new URL('../finetune-vision/data/', import.meta.url);

const captions = readFileSync(new URL('train.jsonl', data), 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line))
  .filter(({ prompt }) => prompt === 'caption en')
  .slice(0, count);
// With the picture in the row the page asks for one file.
const rows = captions.map(({ image, prompt, completion }) => {
  const base64 = readFileSync(new URL(image, data)).toString('base64');
  return JSON.stringify({ image: `data:image/png;base64,${base64}`, prompt, completion });
});
writeFileSync(new URL('shapes.jsonl', import.meta.url), `${rows.join('\n')}\n`);
