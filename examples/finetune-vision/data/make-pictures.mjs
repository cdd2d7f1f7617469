// Makes pictures/, train.jsonl and eval.jsonl beside this file: node make-pictures.mjs
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { baseRows } from '../pretrain/tasks.mjs';
import { boxOf, createRandom, drawScene, keyOf, kinds, makeScene } from './scenes.mjs';

const numbers = ['no', 'one', 'two', 'three'];
const trainPictures = 400;
const heldPictures = 60;

const here = fileURLToPath(new URL('.', import.meta.url));
const ordinal = (fraction) => `<loc${String(Math.round(fraction * 1023)).padStart(4, '0')}>`;

/** `two red circles and one blue square`: circles first, triangles last. */
function caption({ shapes }) {
  return kinds
    .map((kind) => shapes.filter((shape) => shape.kind === kind))
    .filter((group) => group.length > 0)
    .map((group) => `${numbers[group.length]} ${group[0].colour} ${group[0].kind}${group.length > 1 ? 's' : ''}`)
    .join(' and ');
}

/** PaliGemma's way to name boxes: yMin, xMin, yMax, xMax, then the label; as one reads. */
function boxes({ shapes }, kind) {
  return shapes
    .filter((shape) => shape.kind === kind)
    .map((shape) => {
      const { yMin, xMin, yMax, xMax, label } = boxOf(shape);
      return `${[yMin, xMin, yMax, xMax].map(ordinal).join('')} ${label}`;
    })
    .join(' ; ');
}

function rowsOf(scene, image, random) {
  const countOf = (kind) => scene.shapes.filter((shape) => shape.kind === kind).length;
  const counted = kinds[Math.floor(random() * kinds.length)];
  // Two at most, so that every row fits into 16 tokens.
  const shown = kinds.filter((kind) => countOf(kind) > 0 && countOf(kind) <= 2);
  const found = shown[Math.floor(random() * shown.length)];
  return [
    { image, prompt: 'caption en', completion: caption(scene) },
    { image, prompt: `count ${counted}`, completion: String(countOf(counted)) },
    ...(found ? [{ image, prompt: `detect ${found}`, completion: boxes(scene, found) }] : []),
  ];
}

rmSync(`${here}pictures`, { recursive: true, force: true });
mkdirSync(`${here}pictures`);
const random = createRandom(7);
// What is held out is new, to the base model too.
const seen = new Set(baseRows().map(({ scene }) => keyOf(scene)));
let number = 0;
for (const [file, pictures] of [
  ['train.jsonl', trainPictures],
  ['eval.jsonl', heldPictures],
]) {
  const rows = [];
  for (let made = 0; made < pictures; ) {
    const scene = makeScene(random);
    if (seen.has(keyOf(scene))) continue;
    seen.add(keyOf(scene));
    const image = `pictures/${String(++number).padStart(3, '0')}.png`;
    writeFileSync(here + image, drawScene(scene));
    rows.push(...rowsOf(scene, image, random));
    made++;
  }
  writeFileSync(here + file, `${rows.map((row) => JSON.stringify(row)).join('\n')}\n`);
  console.log(`${file}: ${rows.length} rows, ${pictures} pictures`);
}
