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
  const one = [0, 0, 128, 63];
  const still = [...new Uint8Array(Float32Array.of(1e30).buffer)];
  const wanted = [...one, ...one, ...one, ...one, ...still];
  const at = bytes.findIndex((_, i) => wanted.every((byte, k) => bytes[i + k] === byte));
  const changed = bytes.slice();
  changed.set(one, at + 16);
  await expect(open(changed)).rejects.toThrow(WeightFileError);
  await expect(open(changed)).rejects.toThrow(/rope_freqs\.weight.*its value 4 is 1, not 1\.0\d*e\+30/);
});
