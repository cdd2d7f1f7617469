import { expect, it } from 'vitest';
import { type GemmaPresetName, gemmaPresets } from './presets.js';

it('puts global layers where Gemma 3 has them', () => {
  const globals = (name: GemmaPresetName) =>
    gemmaPresets[name].layerTypes.flatMap((type, i) => (type === 'global' ? [i] : []));
  expect(globals('gemma-3-270m')).toEqual([5, 11, 17]);
  expect(globals('gemma-2-2b').slice(0, 3)).toEqual([1, 3, 5]);
  expect(globals('gemma-2b')).toHaveLength(18);
});
