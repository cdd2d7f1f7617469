import { expect, test } from 'vitest';
import { makeInput, type AttentionCase } from '../testing/attention-cases.js';
import { randomArray } from '../testing/test-gpu.js';
import { referenceAttention, referenceAttentionBackward } from './attention.js';

const cases: AttentionCase[] = [
  { mask: 'causal', batch: 1, queries: 5, keys: 5, heads: 4, kvHeads: 2, headDim: 4, scale: 0.7 },
  {
    mask: 'padding',
    batch: 2,
    queries: 4,
    keys: 4,
    heads: 2,
    kvHeads: 1,
    headDim: 4,
    scale: 0.5,
    softcap: 1.5,
    window: 3,
    seed: 4,
  },
];

test.each(cases)('the float64 gradients agree with finite differences: $mask', (c) => {
  const input = makeInput(c);
  const a = { ...input, q: Float64Array.from(input.q), k: Float64Array.from(input.k), v: Float64Array.from(input.v) };
  const dOut = randomArray(a.q.length, 9);
  const loss = () => referenceAttention(a).out.reduce((sum, x, i) => sum + x * dOut[i]!, 0);
  const gradients = referenceAttentionBackward(a, dOut);
  for (const [array, gradient] of [
    [a.q, gradients.dq],
    [a.k, gradients.dk],
    [a.v, gradients.dv],
  ] as const) {
    for (let i = 0; i < array.length; i++) {
      const value = array[i]!;
      array[i] = value + 1e-5;
      const above = loss();
      array[i] = value - 1e-5;
      const below = loss();
      array[i] = value;
      expect(gradient[i]).toBeCloseTo((above - below) / 2e-5, 8);
    }
  }
});

test('weights that sum to one: constant values come out as they are', () => {
  const a = makeInput({ ...cases[0]!, mask: 'prefix' });
  a.v.fill(3);
  for (const x of referenceAttention(a).out) expect(x).toBeCloseTo(3, 12);
});
