// Pictures of a few shapes, and what can be said about them. Everything follows from a seed.
import { deflateSync } from 'node:zlib';

/** Pixels a side; cells a side, each with one shape at most. */
export const size = 56;
const cells = 4;
const cell = size / cells;

export const kinds = /** @type {const} */ (['circle', 'square', 'triangle']);
export const colours = /** @type {const} */ (['red', 'green', 'blue', 'yellow']);
/** Half of a shape's width, pixels. */
const radii = { small: 4, large: 6.5 };
const rgb = { red: [214, 48, 48], green: [52, 160, 72], blue: [50, 86, 206], yellow: [232, 190, 40] };

/**
 * @typedef {{ kind: (typeof kinds)[number], colour: (typeof colours)[number], size: keyof typeof radii, cell: number }} Shape
 * @typedef {{ shapes: Shape[], background: number, shade: number }} Scene  shapes in the order one reads
 * @typedef {() => number} Random  numbers in [0, 1)
 */

/** A small generator of random numbers (mulberry32). @param {number} seed @returns {Random} */
export function createRandom(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** @template T @param {Random} random @param {readonly T[]} list @returns {T} */
export const pick = (random, list) => /** @type {T} */ (list[Math.floor(random() * list.length)]);

/** @template T @param {Random} random @param {readonly T[]} list @returns {T[]} */
export function shuffled(random, list) {
  const copy = [...list];
  for (let i = copy.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    const kept = /** @type {T} */ (copy[i]);
    copy[i] = /** @type {T} */ (copy[j]);
    copy[j] = kept;
  }
  return copy;
}

/** One or two groups of shapes, alike within a group but for size; four shapes at most. @param {Random} random @returns {Scene} */
export function makeScene(random) {
  const places = shuffled(random, [...Array(cells * cells).keys()]);
  const groups = random() < 0.4 ? 1 : 2;
  const counts =
    groups === 1
      ? [1 + Math.floor(random() * 3)]
      : pick(random, [
          [1, 1],
          [1, 2],
          [2, 1],
          [2, 2],
          [1, 3],
          [3, 1],
        ]);
  const chosen = shuffled(random, kinds);
  const shapes = counts.flatMap((count, g) => {
    const colour = pick(random, colours);
    return Array.from({ length: count }, () => ({
      kind: /** @type {Shape['kind']} */ (chosen[g]),
      colour,
      size: pick(random, /** @type {const} */ (['small', 'large'])),
      cell: /** @type {number} */ (places.pop()),
    }));
  });
  shapes.sort((a, b) => a.cell - b.cell);
  return { shapes, background: 236 + Math.floor(random() * 20), shade: 0.85 + 0.3 * random() };
}

/** What makes two scenes the same to the eye, shades apart. @param {Scene} scene */
export const keyOf = ({ shapes }) => shapes.map((s) => `${s.cell}${s.size}${s.colour}${s.kind}`).join();

/** Where a shape is: edges as fractions of the picture. @param {Shape} shape */
export function boxOf({ kind, size: extent, cell: at }) {
  const [x, y, r] = [(at % cells) * cell + cell / 2, Math.floor(at / cells) * cell + cell / 2, radii[extent]];
  return { label: kind, yMin: (y - r) / size, xMin: (x - r) / size, yMax: (y + r) / size, xMax: (x + r) / size };
}

/** @param {Shape['kind']} kind @param {number} x @param {number} y both −1 … 1 within the shape */
function covers(kind, x, y) {
  if (kind === 'circle') return x * x + y * y <= 1;
  // The triangle's tip is up.
  return Math.abs(x) <= 1 && Math.abs(y) <= 1 && (kind === 'square' || Math.abs(x) <= (y + 1) / 2);
}

/** A scene as PNG. @param {Scene} scene */
export function drawScene({ shapes, background, shade }) {
  const rows = new Uint8Array(size * (1 + 3 * size));
  const samples = 4;
  const byCell = new Map(shapes.map((shape) => [shape.cell, shape]));
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      const at = Math.floor(y / cell) * cells + Math.floor(x / cell);
      const shape = byCell.get(at);
      let inside = 0;
      for (let s = 0; shape && s < samples * samples; s++) {
        const dx = x + ((s % samples) + 0.5) / samples - ((at % cells) + 0.5) * cell;
        const dy = y + (Math.floor(s / samples) + 0.5) / samples - (Math.floor(at / cells) + 0.5) * cell;
        if (covers(shape.kind, dx / radii[shape.size], dy / radii[shape.size])) inside++;
      }
      const share = inside / samples ** 2;
      for (let c = 0; c < 3; c++) {
        const colour = shape ? Math.min(255, /** @type {number} */ (rgb[shape.colour][c]) * shade) : 0;
        rows[y * (1 + 3 * size) + 1 + 3 * x + c] = Math.round(share * colour + (1 - share) * background);
      }
    }
  }
  return png(rows);
}

/** @param {Uint8Array} rows each with its filter byte (none) first */
function png(rows) {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(size, 0);
  header.writeUInt32BE(size, 4);
  header.set([8, 2, 0, 0, 0], 8);
  const parts = [
    ['IHDR', header],
    ['IDAT', deflateSync(rows, { level: 9 })],
    ['IEND', Buffer.alloc(0)],
  ];
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    ...parts.map(([name, data]) => chunk(/** @type {string} */ (name), /** @type {Buffer} */ (data))),
  ]);
}

/** @param {string} name @param {Buffer} data */
function chunk(name, data) {
  const out = Buffer.alloc(12 + data.length);
  out.writeUInt32BE(data.length, 0);
  out.write(name, 4, 'latin1');
  out.set(data, 8);
  out.writeUInt32BE(crc32(out.subarray(4, 8 + data.length)), 8 + data.length);
  return out;
}

/** zlib has one only since Node 22. @param {Uint8Array} bytes */
function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let k = 0; k < 8; k++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return (crc ^ 0xffffffff) >>> 0;
}
