import { expect, it } from 'vitest';
import { gemmaParamSpecs } from './params.js';
import { type GemmaPresetName, gemmaPresets } from './presets.js';

// Published totals of the text models with the official vocabulary.
const totals: Record<GemmaPresetName, number> = {
  'gemma-2b': 2_506_172_416,
  'gemma-7b': 8_537_680_896,
  'gemma-2-2b': 2_614_341_888,
  'gemma-2-9b': 9_241_705_984,
  'gemma-2-27b': 27_227_128_320,
  'gemma-3-270m': 268_098_176,
  'gemma-3-1b': 999_885_952,
  'gemma-3-4b': 3_880_099_328,
  'gemma-3-12b': 11_765_788_416,
  'gemma-3-27b': 27_009_002_240,
};

it.each(Object.entries(totals))('%s has %d parameters', (name, total) => {
  const specs = gemmaParamSpecs(gemmaPresets[name as GemmaPresetName]);
  let sum = 0;
  for (const { shape } of specs) sum += shape.reduce((a, b) => a * b, 1);
  expect(sum).toBe(total);
});

it('puts global layers where Gemma 3 has them', () => {
  const globals = (name: GemmaPresetName) =>
    gemmaPresets[name].layerTypes.flatMap((type, i) => (type === 'global' ? [i] : []));
  expect(globals('gemma-3-270m')).toEqual([5, 11, 17]);
  expect(globals('gemma-2-2b').slice(0, 3)).toEqual([1, 3, 5]);
  expect(globals('gemma-2b')).toHaveLength(18);
});
