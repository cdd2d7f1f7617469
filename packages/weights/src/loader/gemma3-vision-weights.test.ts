// A Gemma 3 with a vision tower under the names of every era, and what leaves of it.
import { expect, it } from 'vitest';
import { fixtureBytes } from '../../../../test/support/safetensors-fixture.js';
import { modelSources } from '../../../../test/support/fixture-sources.js';
import { sameBytes } from '../../../../test/support/same-bytes.js';
import { hfModelFiles } from '../layout/export.js';
import { readPeftAdapter } from '../peft/open.js';
import { peftAdapterFiles } from '../peft/write.js';
import { gemmaWeightLoader } from '../registry.js';
import { openSafetensors } from '../safetensors/read.js';
import { safetensorsToBytes, type TensorData } from '../safetensors/write.js';
import { bufferSource } from '../source/byte-source.js';
import { memorySink } from '../testing/memory-sink.js';
import { concat } from '../testing/npz.js';
import type { ModelLocation } from '../source/model-source.js';
import { modelWeightLoader } from './model-weight-loader.js';
import type { OpenedWeights } from './types.js';

const name = 'gemma3-vision-tiny';

async function paramsOf(weights: OpenedWeights) {
  const { sink, params } = memorySink();
  await weights.load(weights.entries, sink);
  return params;
}

async function opened(from: ModelLocation) {
  const weights = await modelWeightLoader({ from }).open();
  return { weights, params: await paramsOf(weights) };
}

const named = async (file: string, config = 'config.json') => [
  bufferSource('config.json', await fixtureBytes(`models/${name}-names/${config}`)),
  bufferSource('model.safetensors', await fixtureBytes(`models/${name}-names/${file}.safetensors`)),
];

it.each([
  ['v4-hub', 'config.json'],
  ['v4.52', 'config.json'],
  ['v5', 'config.json'],
  ['shieldgemma2', 'shieldgemma2.config.json'],
])('reads the names of %s', async (era, config) => {
  const { weights, params } = await opened(await modelSources(name));
  expect(weights.model.config.family).toBe('gemma3-vision');
  expect(weights.notices).toEqual([]);
  expect([...params.keys()].sort()).toEqual(weights.model.params.map(({ path }) => path).sort());
  const other = await opened(await named(era, config));
  expect(other.weights.config).toEqual(weights.config);
  expect(other.weights.notices).toEqual([]);
  for (const [path, bytes] of params) expect(sameBytes(bytes, other.params.get(path)!), path).toBe(true);
});

it('is its text part too, which passes the rest on', async () => {
  const { weights, params } = await opened(await modelSources(name));
  const text = weights.textPart!;
  expect(text.model.config.family).toBe('gemma3');
  for (const [path, bytes] of await paramsOf(text)) expect(sameBytes(bytes, params.get(path)!), path).toBe(true);
  expect(text.passedOn).toHaveLength(weights.entries.size - text.entries.size);
  const asked = await gemmaWeightLoader({ from: await modelSources(name) }).open();
  expect(asked.config).toEqual(text.config);
});

it('is written as it was read', async () => {
  const from = await modelSources(name);
  const { weights, params } = await opened(from);
  const tensors = new Map(
    weights.model.params.map(({ path, shape }) => [path, { dtype: 'f32' as const, shape, bytes: params.get(path)! }]),
  );
  const files = hfModelFiles(weights.model, tensors, { config: weights.metadata });
  const pieces: Uint8Array[] = [];
  for await (const piece of files['model.safetensors']) pieces.push(piece);
  const written = bufferSource('model.safetensors', concat(...pieces));
  // As the files on the hub have it.
  const { tensors: hub } = await openSafetensors((await named('v4-hub'))[1]!);
  expect([...(await openSafetensors(written)).tensors.keys()].sort()).toEqual([...hub.keys()].sort());
  const json = JSON.parse(new TextDecoder().decode(files['config.json'])) as Record<string, unknown>;
  for (const [field, value] of Object.entries(weights.metadata))
    if (!['dtype', 'text_config', 'vision_config', 'eos_token_id'].includes(field))
      expect(json[field], field).toEqual(value);
  expect(json).toMatchObject({ text_config: { model_type: 'gemma3_text' }, vision_config: { image_size: 24 } });
  const again = await opened([bufferSource('config.json', files['config.json']), written]);
  expect(again.weights.config).toEqual(weights.config);
  for (const [path, bytes] of params) expect(sameBytes(bytes, again.params.get(path)!), path).toBe(true);
});

it("reads PEFT's adapter of both towers, of every era, and writes it back under its names", async () => {
  const folder = `curves/${name}/lora/final`;
  const config = await fixtureBytes(`${folder}/adapter_config.json`);
  const bytes = await fixtureBytes(`${folder}/adapter_model.safetensors`);
  const { weights } = await opened(await modelSources(name));
  const { model } = weights;
  const files = [bufferSource('adapter_config.json', config), bufferSource('adapter_model.safetensors', bytes)];
  const adapter = await readPeftAdapter(files, { model });
  expect(adapter.updates.size).toBe(model.params.filter(({ role }) => role === 'linear').length);
  const { updates, tensors: values } = adapter;
  const out = peftAdapterFiles({ model, updates, tensors: values, baseConfig: weights.metadata });
  const pieces: Uint8Array[] = [];
  for await (const piece of out['adapter_model.safetensors']) pieces.push(piece);
  const [ours, theirs] = await Promise.all(
    [concat(...pieces), bytes].map((file) => openSafetensors(bufferSource('x', file))),
  );
  expect([...ours!.tensors.keys()].sort()).toEqual([...theirs!.tensors.keys()].sort());
  // As transformers before 4.52 named modules: read alike.
  const { tensors } = theirs!;
  const old = new Map<string, TensorData>();
  for (const { name: full, shape, source, offset, byteLength } of tensors.values())
    old.set(
      full
        .replace('model.model.language_model.', 'model.language_model.model.')
        .replace('model.model.vision_tower.', 'model.vision_tower.vision_model.'),
      { dtype: 'f32', shape, bytes: await source.read(offset, byteLength) },
    );
  const named = JSON.parse(new TextDecoder().decode(config)) as { target_modules: readonly string[] };
  expect(named.target_modules).toContain('fc1');
  const renamed = bufferSource('adapter_model.safetensors', await safetensorsToBytes(old));
  expect((await readPeftAdapter([files[0]!, renamed], { model })).tensors).toEqual(adapter.tensors);
});
