// Writes orders.jsonl: orders in words, and the same as a list. Seeded: the same file every time.
import { writeFileSync } from 'node:fs';

let state = 7;
const random = (n) => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 4294967296) * n);
};
const pick = (list) => list[random(list.length)];
const numbers = ['one', 'two', 'three', 'four', 'five'];
const things = ['apple', 'pear', 'book', 'lamp', 'chair', 'cup', 'coat', 'egg', 'pen', 'cake'];
const openings = ['Please send', 'I want', 'We need', 'Bring me', 'I would like'];

const rows = new Map();
while (rows.size < 240) {
  const a = random(5);
  const b = random(5);
  const x = pick(things);
  const y = pick(things.filter((t) => t !== x));
  const words = (n, thing) => `${numbers[n]} ${thing}${n > 0 ? 's' : ''}`;
  const prompt = `${pick(openings)} ${words(a, x)} and ${words(b, y)}.\nList:`;
  rows.set(prompt, { prompt, completion: ` ${x}: ${a + 1}, ${y}: ${b + 1}` });
}
writeFileSync(
  new URL('orders.jsonl', import.meta.url),
  [...rows.values()].map((row) => `${JSON.stringify(row)}\n`).join(''),
);
