import { modelOf } from '@lapidary/gemma';
import { expect, it } from 'vitest';
import { modelSources } from '../../../../test/support/fixture-sources.js';
import { WeightNamesError } from '../errors.js';
import { bufferSource } from '../source/byte-source.js';
import { loadedModel } from '../testing/loaded-model.js';
import { concat } from '../testing/npz.js';
import { hfModelFiles } from './export.js';

it.each(['gemma1-tiny', 'gemma2-tiny', 'gemma3-tiny-bf16'])('%s goes out and comes back the same', async (name) => {
  const model = await loadedModel(await modelSources(name));
  const files = hfModelFiles(modelOf(model.config), model.tensors);
  const pieces: Uint8Array[] = [];
  for await (const piece of files['model.safetensors']) pieces.push(piece);
  const sources = [
    bufferSource('config.json', files['config.json']),
    bufferSource('model.safetensors', concat(...pieces)),
  ];
  expect(await loadedModel(sources)).toEqual(model);
  model.tensors.delete('finalNorm.weight');
  expect(() => hfModelFiles(modelOf(model.config), model.tensors)).toThrow(WeightNamesError);
});
