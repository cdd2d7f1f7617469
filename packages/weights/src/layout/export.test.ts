import { modelOf } from '@lapidary/gemma';
import { expect, it } from 'vitest';
import { modelSources } from '../../../../test/support/fixture-sources.js';
import { WeightNamesError } from '../errors.js';
import { modelWeightLoader } from '../loader/model-weight-loader.js';
import { openSafetensors } from '../safetensors/read.js';
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

it('a text model that is part of a multimodal checkpoint stays one: names, other towers, configuration', async () => {
  const from = await modelSources('gemma3-vlm-tiny');
  const opened = await modelWeightLoader({ from }).open();
  const { model, passedOn, metadata: config } = opened.textPart!;
  const { tensors } = await loadedModel(from);
  const files = hfModelFiles(model, tensors, { config, passedOn });
  const pieces: Uint8Array[] = [];
  for await (const piece of files['model.safetensors']) pieces.push(piece);
  const written = await openSafetensors(bufferSource('x', concat(...pieces)));
  // As transformers wrote them.
  const official = await openSafetensors(from[1]!);
  expect([...written.tensors.keys()].sort()).toEqual([...official.tensors.keys()].sort());
  for (const [name, { source, offset, byteLength, shape, type }] of official.tensors) {
    const found = written.tensors.get(name)!;
    expect(found, name).toMatchObject({ shape, type });
    expect(await found.source.read(found.offset, found.byteLength), name).toEqual(
      await source.read(offset, byteLength),
    );
  }
  const json = JSON.parse(new TextDecoder().decode(files['config.json'])) as Record<string, Record<string, unknown>>;
  for (const field of ['architectures', 'model_type', 'vision_config', 'image_token_index', 'eos_token_id'])
    expect(json[field], field).toEqual(config[field]);
  expect(json['text_config']).toMatchObject({ model_type: 'gemma3_text', query_pre_attn_scalar: 9, vocab_size: 600 });
  expect(json['text_config']).not.toHaveProperty('architectures');
  // Without the checkpoint it is a text model.
  const alone = JSON.parse(new TextDecoder().decode(hfModelFiles(model, tensors)['config.json'])) as object;
  expect(alone).toMatchObject({ architectures: ['Gemma3ForCausalLM'], model_type: 'gemma3_text' });
});
