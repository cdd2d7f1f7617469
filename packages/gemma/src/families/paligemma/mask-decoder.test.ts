import { expect, it } from 'vitest';
import { decodeMask, MaskDecoderWeightError } from './mask-decoder.js';
import { madeUpWeights } from '../../image/testing/made-up-weights.js';
import fixture from '../../image/testing/mask-decoder.json' with { type: 'json' };

const weights = madeUpWeights(fixture.tensors);

it.each(fixture.cases)('decodes as PyTorch does, case %#', ({ indices, mask }) => {
  const expected = new Float32Array(Uint8Array.from(atob(mask), (char) => char.charCodeAt(0)).buffer);
  const found = decodeMask(indices, weights);
  expect(found).toHaveLength(64 * 64);
  let worst = 0;
  for (const [i, value] of expected.entries()) worst = Math.max(worst, Math.abs(value - found[i]!));
  expect(worst).toBeLessThan(2e-5);
});

it('names what is wrong', () => {
  const indices = fixture.cases[0]!.indices;
  const { 'decoder.8.bias': _, ...without } = weights;
  expect(() => decodeMask(indices, without)).toThrow(MaskDecoderWeightError);
  expect(() => decodeMask(indices, without)).toThrow(/decoder\.8\.bias is missing/);
  expect(() => decodeMask(indices, { ...weights, 'decoder.0.weight': new Float32Array(3) })).toThrow(/has 3 values/);
  expect(() => decodeMask(indices.slice(1), weights)).toThrow(RangeError);
  expect(() => decodeMask([...indices.slice(1), 128], weights)).toThrow(RangeError);
});
