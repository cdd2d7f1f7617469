import { quantileSorted } from 'd3-array';
import type { DataPart } from '../../metrics/data-inspection.js';
import type { InspectedRow } from '../../objectives/objective.js';
import { mixWords } from '../../data/mix-words.js';

/** Counts rows as they come. */
export class RowCounter {
  readonly #maxLength: number;
  readonly #forms = new Map<string, number>();
  readonly #lengths: number[] = [];
  readonly #seen = new Set<number>();
  readonly #sums = { tokens: 0, learned: 0, tooLong: 0, cut: 0, nothingToLearn: 0, duplicates: 0 };

  constructor(maxLength: number) {
    this.#maxLength = maxLength;
  }

  /** @returns the number that the row goes by among others: the same for the same tokens, learned alike, with the same pictures */
  add(row: InspectedRow): number {
    const { form, tokens, learned, sequences = [tokens.length] } = row;
    const longest = Math.max(...sequences);
    const sums = this.#sums;
    this.#forms.set(form, (this.#forms.get(form) ?? 0) + 1);
    this.#lengths.push(longest);
    sums.tokens += tokens.length;
    sums.learned += countLearned(learned);
    sums.tooLong += Number(longest > this.#maxLength);
    sums.cut += sequences.reduce((cut, length) => cut + Math.max(0, length - this.#maxLength), 0);
    sums.nothingToLearn += Number(!learned.subarray(0, this.#maxLength).includes(1, 1));
    const key = keyOf(row);
    sums.duplicates += Number(this.#seen.has(key));
    this.#seen.add(key);
    return key;
  }

  has(key: number): boolean {
    return this.#seen.has(key);
  }

  get count(): number {
    return this.#lengths.length;
  }

  summary(): DataPart {
    const sorted = [...Float64Array.from(this.#lengths).sort()];
    const at = (share: number) => quantileSorted(sorted, share) ?? 0;
    return {
      rows: sorted.length,
      forms: Object.fromEntries(this.#forms),
      lengths: { min: at(0), median: at(0.5), p95: at(0.95), max: at(1) },
      ...this.#sums,
    };
  }
}

/** The first token is learned by nobody: nothing comes before it. */
export const countLearned = (learned: Uint8Array): number =>
  learned.reduce((sum, isLearned, i) => sum + (i > 0 ? isLearned : 0), 0);

/** 53 bits: among a million rows two that differ go by the same number once in twenty thousand data sets. */
function keyOf({ tokens, learned, pictures }: InspectedRow): number {
  const words = new Uint32Array(tokens.length);
  for (let i = 0; i < words.length; i++) words[i] = tokens[i]! * 2 + Number(learned[i]);
  const named = new TextEncoder().encode(pictures.join('\n'));
  const names = Uint32Array.from(named);
  const [low, high] = [0x9747b28c, 0x1b873593].map((seed) => mixWords(names, mixWords(words, seed)));
  return (high! & 0x1fffff) * 2 ** 32 + low!;
}
