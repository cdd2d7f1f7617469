// Every reader of foreign files on some inputs; `npm run fuzz` tries many more, each within limits of time and memory.
import { WeightFileError } from '@lapidary/weights';
import { describe, expect, it } from 'vitest';
import { Dice } from './dice.js';
import { formatFinding, fuzzMany } from './fuzz.js';
import { encode, type FuzzReader } from './reader.js';
import { readers } from './readers.js';

const count = 100;

describe.each(Object.keys(readers))('%s', (name) => {
  it('accepts what is right and refuses the rest with errors of its own', async () => {
    const reader = await readers[name]!();
    expect(reader.name).toBe(name);
    const { accepted, findings } = await fuzzMany(reader, { seed: 1, count });
    expect(findings.map(formatFinding)).toEqual([]);
    // A generator that makes only rubbish, or nothing wrong, tries nothing.
    expect(accepted).toBeGreaterThan(3);
    expect(accepted).toBeLessThan(count - 10);
  });

  it('makes the same input of the same seed', async () => {
    const [a, b] = [await readers[name]!(), await readers[name]!()];
    for (let seed = 0; seed < 20; seed++) expect(a.make(new Dice(seed))).toEqual(b.make(new Dice(seed)));
  });
});

describe('the harness', () => {
  const throwing = (error: unknown): FuzzReader => ({
    name: 'made-up',
    make: () => ({ file: encode('x') }),
    read: () => Promise.reject(error),
  });
  const found = async (error: unknown) => (await fuzzMany(throwing(error), { seed: 7, count: 1 })).findings;

  it.each([
    ['a TypeError', new TypeError('x is undefined')],
    ['a RangeError', new RangeError('too deep')],
    ['a SyntaxError', new SyntaxError('no JSON')],
    ['an error of nobody', new Error('accepted, though it is wrong')],
    ['no error at all', 'a text'],
    ['a message that nobody can read', new WeightFileError({ file: '' }, 'x'.repeat(30_000))],
  ])('finds %s', async (_, error) => {
    const [finding] = await found(error);
    expect(formatFinding(finding!)).toMatch(/made-up, seed 7: [\s\S]*file \(1 bytes\): x[\s\S]*--seed 7 --count 1/);
  });

  it('lets an error of the packages pass', async () => {
    expect(await found(new WeightFileError({ file: 'a.gguf' }, 'it is cut short.'))).toEqual([]);
  });
});
