import { expect, it } from 'vitest';
import { fixtureBytes } from '../../../../test/support/safetensors-fixture.js';
import { WeightFileError } from '../errors.js';
import { bufferSource } from '../source/byte-source.js';
import { modelWeightLoader } from './model-weight-loader.js';

const open = (bytes: Uint8Array) => modelWeightLoader({ from: bufferSource('model.gguf', bytes) }).open();

it('a file that says otherwise how the model computes is refused by the tensor', async () => {
  const bytes = await fixtureBytes('gguf/gemma4-tiny-q8_0.gguf');
  await (await open(bytes)).close();
  // The first pair that does not turn: 1e30, before it four ones.
  const changed = bytes.slice();
  const values = new Float32Array(changed.buffer, 0, Math.floor(changed.length / 4));
  const at = values.findIndex((value, i) => value === Math.fround(1e30) && values[i - 1] === 1);
  values[at] = 1;
  await expect(open(changed)).rejects.toThrow(WeightFileError);
  await expect(open(changed)).rejects.toThrow(/rope_freqs\.weight.*its value 4 is 1, not 1\.0\d*e\+30/);
});
