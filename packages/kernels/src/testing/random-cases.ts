import { seededRandom } from './test-gpu.js';

/** Draws the parts of a case. */
export interface Draw {
  /** A whole number from `least` to `most`. */
  int(least: number, most: number): number;
  pick<T>(options: readonly T[]): T;
}

/** Seeded cases for `test.each`, each named by what was drawn, so that one that fails can be written down as a test. */
export function randomCases<T>(count: number, seed: number, make: (draw: Draw) => T): [name: string, T][] {
  const random = seededRandom(seed);
  const int = (least: number, most: number) => least + Math.floor(random() * (most - least + 1));
  const draw: Draw = { int, pick: (options) => options[int(0, options.length - 1)]! };
  return Array.from({ length: count }, () => {
    const made = make(draw);
    return [JSON.stringify(made), made];
  });
}
