import { createRandom } from '@lapidary/gemma';
import { describe, expect, it } from 'vitest';
import { makeBatch, type CompletionShape } from './batch.js';
import { describePacking, packExamples, paddingOf } from './packing.js';
import type { CompletionExample } from './tokenise.js';

/** A row of so many tokens, of which all but the first are learned. */
function row(length: number, line = 0, first = 10): CompletionExample {
  const tokens = Int32Array.from({ length }, (_, i) => first + i);
  const lossMask = Uint8Array.from({ length }, (_, i) => (i > 0 ? 1 : 0));
  return { row: { text: '', line }, length, patches: 0, tokens, lossMask, prefix: 0, pictures: undefined };
}

const rowsOf = (lengths: readonly number[]) => lengths.map((length, i) => row(length, i));
const lines = (packed: readonly CompletionExample[]) =>
  packed.map(({ documents }) => documents!.map((document) => document.row.line));

describe('packing', () => {
  it('has every row once, in sequences that hold them', () => {
    const random = createRandom(1);
    const rows = rowsOf(Array.from({ length: 5000 }, () => 1 + Math.floor(random() * 100)));
    const packed = packExamples(rows, { maxLength: 100, seed: 3 });
    expect(
      lines(packed)
        .flat()
        .sort((a, b) => a - b),
    ).toEqual(rows.map((_, i) => i));
    for (const { length, documents } of packed) {
      expect(length).toBeLessThanOrEqual(100);
      expect(documents!.reduce((n, each) => n + each.length, 0)).toBe(length);
    }
    const least = Math.ceil(rows.reduce((n, { length }) => n + length, 0) / 100);
    expect(packed.length).toBeLessThan(least * 1.05);
  });

  it.each([
    ['halves', [50, 50, 50, 50], 2],
    ['large and small', [90, 10, 80, 20, 70, 30], 3],
    ['rows that fit nowhere else', [100, 100, 60, 60], 4],
    ['one row', [7], 1],
  ])('%s', (_, lengths, sequences) => {
    expect(packExamples(rowsOf(lengths), { maxLength: 100, seed: 1 })).toHaveLength(sequences);
  });

  it('depends on the seed alone', () => {
    const rows = rowsOf(Array.from({ length: 40 }, (_, i) => 5 + (i % 4)));
    const of = (seed: number) => lines(packExamples(rows, { maxLength: 32, seed }));
    expect(of(1)).toEqual(of(1));
    expect(of(1)).not.toEqual(of(2));
  });

  it('says what it saves', () => {
    const rows = rowsOf([20, 5, 5, 4, 6, 8]);
    const options = { maxLength: 32, seed: 1, batchSize: 1 };
    // Alone: one of 32 places, five of 16; together two sequences, of 32 and 16 places or 32 and 32.
    expect(paddingOf(rows, options)).toEqual({ places: 112, share: 1 - 48 / 112 });
    const packed = packExamples(rows, options);
    expect(packed).toHaveLength(2);
    const after = paddingOf(packed, options);
    expect(after.share).toBeCloseTo(1 - 48 / after.places, 12);
    expect(describePacking(rows, packed, options)).toMatch(
      /^6 rows are packed into 2 sequences of at most 32 tokens: padding is \d+ % of what is computed, not 57 %, and an epoch computes \d+ tokens, not 112\.$/,
    );
  });
});

describe('a batch of packed rows', () => {
  const shape: CompletionShape = { batch: 2, length: 16, targets: 16 };
  const [first, second, third] = [row(4, 1, 100), row(3, 2, 200), row(5, 3, 300)];
  const joined: CompletionExample = {
    ...first,
    length: 7,
    tokens: Int32Array.of(...first.tokens, ...second.tokens),
    documents: [first, second],
  };

  it('has a segment for each, positions from 0, and no target across their border', () => {
    const { inputs, weight, numTokens } = makeBatch([joined, third], [shape]);
    const info = inputs.tokenInfo as Int32Array;
    const records = (b: number, n: number) =>
      Array.from({ length: n }, (_, t) => [...info.subarray((b * 16 + t) * 4, (b * 16 + t) * 4 + 4)]);
    expect(records(0, 8)).toEqual([
      [1, 0, 0, 0],
      [1, 1, 1, 0],
      [1, 2, 2, 0],
      [1, 3, 3, 0],
      [2, 0, 0, 0],
      [2, 1, 1, 0],
      [2, 2, 2, 0],
      [0, 0, 0, 0],
    ]);
    expect(records(1, 2)[1]).toEqual([1, 1, 1, 0]);
    expect(weight).toBe(3 + 2 + 4);
    expect(numTokens).toBe(12);
    expect([...(inputs.rows as Int32Array)].slice(0, 9)).toEqual([0, 1, 2, 4, 5, 16, 17, 18, 19]);
    expect([...(inputs.targets as Int32Array)].slice(0, 6)).toEqual([101, 102, 103, 201, 202, 301]);
  });

  it('a prefix that sees itself is a block of its own document', () => {
    const prefixed = { ...second, prefix: 2 };
    const { inputs } = makeBatch([{ ...joined, documents: [first, prefixed] }], [shape]);
    const blocks = Array.from({ length: 7 }, (_, t) => (inputs.tokenInfo as Int32Array)[t * 4 + 1]);
    expect(blocks).toEqual([0, 1, 2, 3, 0, 0, 2]);
  });
});
