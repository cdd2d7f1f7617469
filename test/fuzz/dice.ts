import { createRandom } from '@lapidary/gemma';

/** Seeded choices: the same seed, the same input, on every machine. */
export class Dice {
  readonly #random: () => number;

  constructor(seed: number) {
    this.#random = createRandom(seed);
  }

  /** A whole number from 0 to `count` − 1. */
  below(count: number): number {
    return Math.floor(this.#random() * count);
  }

  /** A whole number, both ends included. */
  between(least: number, most: number): number {
    return least + this.below(most - least + 1);
  }

  chance(probability: number): boolean {
    return this.#random() < probability;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }

  /** `count` of what `make` gives. */
  list<T>(count: number, make: (index: number) => T): T[] {
    return Array.from({ length: count }, (_, i) => make(i));
  }

  bytes(count: number): Uint8Array {
    return Uint8Array.from({ length: count }, () => this.below(256));
  }

  /** A short text, at times with what needs care: blanks, control characters, half a surrogate pair. */
  text(): string {
    return this.list(this.below(9), () => this.pick(characters)).join('');
  }
}

const characters = [
  ...'abcxyz019 ._-/"\\{}[]<>',
  '\n',
  '\0',
  '\u2581',
  '\ufeff',
  '\ud83d',
  '\u{1f600}',
  '\u00e9',
  '\u2028',
];
