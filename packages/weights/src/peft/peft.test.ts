import { gemmaConfigFromHf, modelOf, paliGemmaConfigFromHf } from '@lapidary/gemma';
import { expect, it } from 'vitest';
import { adapterSources } from '../../../../test/support/fixture-sources.js';
import { fixtureBytes, fixtureJson } from '../../../../test/support/safetensors-fixture.js';
import { AdapterError } from '../errors.js';
import { openSafetensors } from '../safetensors/read.js';
import { safetensorsToBytes, type TensorData } from '../safetensors/write.js';
import { bufferSource } from '../source/byte-source.js';
import { readPeftAdapter } from './read.js';
import { peftAdapterFiles } from './write.js';

const json = (bytes: Uint8Array) => JSON.parse(new TextDecoder().decode(bytes)) as Record<string, unknown>;
const gemmaOf = async (name: string) => modelOf(gemmaConfigFromHf(await fixtureJson(`models/${name}/config.json`)));
const filesOf = async (folder: string) => ({
  'adapter_config.json': await fixtureBytes(`${folder}/adapter_config.json`),
  'adapter_model.safetensors': await fixtureBytes(`${folder}/adapter_model.safetensors`),
});
const sources = (files: Record<string, Uint8Array>) =>
  Object.entries(files).map(([name, bytes]) => bufferSource(name, bytes));

async function contents(bytes: Uint8Array) {
  const { tensors } = await openSafetensors(bufferSource('x', bytes));
  const found = new Map<string, TensorData & { bytes: Uint8Array }>();
  for (const { name, shape, source, offset, byteLength } of tensors.values()) {
    found.set(name, { dtype: 'f32', shape, bytes: await source.read(offset, byteLength) });
  }
  return found;
}

it.each([
  ['gemma1-tiny', 'lora'],
  ['gemma2-tiny', 'lora'],
  ['gemma3-tiny', 'lora'],
  ['gemma3-tiny', 'rslora'],
])('reads PEFT’s adapter of %s (%s) and writes the same again', async (name, kind) => {
  const model = await gemmaOf(name);
  const adapter = await readPeftAdapter(await adapterSources(`curves/${name}/${kind}/final`), { model });
  expect(adapter).toMatchObject({ rank: 4, alpha: 8, rslora: kind === 'rslora' });
  expect(adapter.targets).toHaveLength(7);
  expect(adapter.tensors.size).toBe(model.config.numLayers * 14);
  const files = await peftAdapterFiles({ model, ...adapter, baseModel: adapter.baseModel ?? '' });

  const official = await filesOf(`curves/${name}/${kind}/final`);
  expect(await contents(files['adapter_model.safetensors'])).toEqual(
    await contents(official['adapter_model.safetensors']),
  );
  const ours = json(files['adapter_config.json']);
  const theirs = json(official['adapter_config.json']);
  for (const field of ['peft_type', 'r', 'lora_alpha', 'target_modules', 'use_rslora', 'bias', 'fan_in_fan_out']) {
    expect(ours[field], field).toEqual(theirs[field]);
  }
  expect((await readPeftAdapter(sources(files), { model })).tensors).toEqual(adapter.tensors);
});

it.each([
  ['paligemma1-tiny', 'lora'],
  ['paligemma2-tiny', 'lora'],
  ['paligemma1-tiny', 'lora-vision'],
  ['paligemma2-tiny', 'lora-vision'],
])('reads PEFT’s adapter of %s (%s), either tower, and writes the same again', async (name, kind) => {
  const model = modelOf(paliGemmaConfigFromHf(await fixtureJson(`models/${name}/config.json`)));
  const { config } = model;
  const folder = `curves/${name}/${kind}/final`;
  const adapter = await readPeftAdapter(await adapterSources(folder), { model });
  const layers = config.text.numLayers * 14 + (kind === 'lora' ? 0 : config.vision.numLayers * 12);
  expect(adapter.tensors.size).toBe(layers);
  const files = await peftAdapterFiles({ model, ...adapter, baseModel: adapter.baseModel ?? '' });
  expect(await contents(files['adapter_model.safetensors'])).toEqual(
    await contents((await filesOf(folder))['adapter_model.safetensors']),
  );
  // Short names would mean the linears of both towers: what was trained is named in full.
  const targets = json(files['adapter_config.json'])['target_modules'] as string[];
  expect(targets).toHaveLength(layers / 2);
  expect(targets.every((name) => /^model\.(language_model|vision_tower)\./.test(name))).toBe(true);
});

const model = await gemmaOf('gemma3-tiny');
const official = await filesOf('curves/gemma3-tiny/lora/final');

it.each(['language_model.model.', 'model.language_model.'])('reads module names that start with %s', async (prefix) => {
  const renamed = new Map(
    [...(await contents(official['adapter_model.safetensors']))].map(([name, tensor]) => [
      name.replace('base_model.model.model.', `base_model.model.${prefix}`),
      tensor,
    ]),
  );
  const files = { ...official, 'adapter_model.safetensors': await safetensorsToBytes(renamed) };
  expect((await readPeftAdapter(sources(files), { model })).tensors.size).toBe(6 * 14);
});

it('writes full module names where a short one would hit more than was trained', async () => {
  const { tensors } = await readPeftAdapter(sources(official), { model });
  const some = new Map([...tensors].filter(([path]) => path.startsWith('layers.1.attn.qProj.')));
  const files = await peftAdapterFiles({ model, rank: 4, alpha: 8, tensors: some });
  expect(json(files['adapter_config.json'])['target_modules']).toEqual(['model.layers.1.self_attn.q_proj']);
});

it('refuses what does not fit', async () => {
  const adapter = await readPeftAdapter(sources(official), { model });
  const write = (change: object) => peftAdapterFiles({ model, ...adapter, baseModel: '', ...change });
  await expect(write({ rank: 5 })).rejects.toThrow(/values, but \[5, 52\] is expected/);
  await expect(write({ tensors: new Map() })).rejects.toBeInstanceOf(AdapterError);
  await expect(write({ tensors: new Map([['layers.0.attn.qProj.lora.a', new Float32Array(112)]]) })).rejects.toThrow(
    /other half/,
  );
  await expect(write({ tensors: new Map([['layers.9.attn.qProj.lora.a', new Float32Array(112)]]) })).rejects.toThrow(
    /no LoRA tensor/,
  );

  const described = (change: object) => ({
    ...official,
    'adapter_config.json': new TextEncoder().encode(
      JSON.stringify({ ...json(official['adapter_config.json']), ...change }),
    ),
  });
  const read = (files: Record<string, Uint8Array>) => readPeftAdapter(sources(files), { model });
  await expect(read(described({ use_dora: true }))).rejects.toThrow(/DoRA/);
  await expect(read(described({ r: 8 }))).rejects.toThrow(/rank 8 on this model takes/);
  await expect(read(described({ peft_type: 'IA3' }))).rejects.toThrow(/IA3/);
  await expect(read(described({ rank_pattern: { q_proj: 2 } }))).rejects.toThrow(/rank_pattern/);
  await expect(readPeftAdapter(sources(official), { model: await gemmaOf('gemma2-tiny') })).rejects.toBeInstanceOf(
    AdapterError,
  );
});
