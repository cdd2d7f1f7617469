import type { DType } from '@lapidary/kernels';
import { expect, it } from 'vitest';
import { fixtureSources, modelSources } from '../../../../test/support/fixture-sources.js';
import { fixtureBytes } from '../../../../test/support/safetensors-fixture.js';
import { dequantise } from '../dtype/dequantise.js';
import { placesOf } from '../layout/places.js';
import { WeightDTypeError, WeightNamesError, WeightShapeError, WeightSourceError } from '../errors.js';
import { openSafetensors } from '../safetensors/read.js';
import { safetensorsToBytes, type TensorData } from '../safetensors/write.js';
import { blobSource, bufferSource } from '../source/byte-source.js';
import type { ModelLocation } from '../source/model-source.js';
import { memorySink } from '../testing/memory-sink.js';
import { gemmaWeightLoader } from '../registry.js';
import { formatLoadReport } from './report.js';
import type { OpenedWeights } from './types.js';

function asStored(weights: OpenedWeights, dtype?: DType) {
  return new Map(
    [...weights.entries].map(([path, entry]) => [path, { shape: entry.shape, dtype: dtype ?? entry.dtype }]),
  );
}

it.each(['gemma1-tiny', 'gemma2-tiny', 'gemma3-tiny', 'gemma3-tiny-bf16'])('loads %s bit for bit', async (name) => {
  const weights = await gemmaWeightLoader({ from: await modelSources(name) }).open();
  const official = await openSafetensors(bufferSource('m', await fixtureBytes(`models/${name}/model.safetensors`)));
  expect([...weights.entries.keys()].sort()).toEqual(weights.model.params.map(({ path }) => path).sort());
  const { sink, params, largest } = memorySink();
  const report = await weights.load(asStored(weights), sink, { chunkBytes: 2048 });
  await weights.close();
  expect(largest()).toBeLessThanOrEqual(2048);
  expect(report.loaded).toHaveLength(official.tensors.size);
  expect(report.converted).toEqual([]);
  for (const spec of weights.model.params) {
    const { path } = spec;
    const bytes = params.get(path)!;
    const stored = official.tensors.get(`model.${placesOf(weights.model.layouts.safetensors!, spec)[0]?.name}`)!;
    expect(bytes, path).toEqual(await stored.source.read(stored.offset, stored.byteLength));
  }
});

async function valuesOf(from: ModelLocation, dtype: DType = 'f32') {
  const weights = await gemmaWeightLoader({ from }).open();
  const { sink, params } = memorySink();
  const report = await weights.load(asStored(weights, dtype), sink, { chunkBytes: 3000 });
  await weights.close();
  return { weights, report, values: new Map([...params].map(([path, bytes]) => [path, dequantise(dtype, bytes)])) };
}

it('reads a GGUF as the safetensors it was made of, norms without the 1', async () => {
  const { values: gguf, weights } = await valuesOf(await fixtureSources('gguf/gemma3-tiny-f32.gguf'));
  const { values: hf } = await valuesOf(await modelSources('gemma3-tiny'));
  expect(weights.format).toBe('gguf');
  expect([...gguf.keys()].sort()).toEqual([...hf.keys()].sort());
  for (const [path, values] of hf) {
    const found = gguf.get(path)!;
    // 1 + w was rounded to float32 when the file was made.
    const tolerance = path.includes('Norm') ? 2 ** -23 : 0;
    let worst = 0;
    for (let i = 0; i < values.length; i++) worst = Math.max(worst, Math.abs(values[i]! - found[i]!));
    expect(worst, path).toBeLessThanOrEqual(tolerance);
  }
});

it('keeps Q8_0 as it is, or converts it in pieces', async () => {
  const q8 = await fixtureSources('gguf/gemma3-tiny-q8_0.gguf');
  const stored = await gemmaWeightLoader({ from: q8 }).open();
  expect(stored.entries.get('layers.0.attn.qProj.weight')?.dtype).toBe('q8_0');
  expect(stored.entries.get('finalNorm.weight')?.dtype).toBe('f32');
  const { sink, params } = memorySink();
  const report = await stored.load(asStored(stored), sink, { chunkBytes: 4096 });
  await stored.close();
  expect(report.converted.every(({ path }) => path.includes('Norm'))).toBe(true);
  const { values } = await valuesOf(q8);
  for (const [path, bytes] of params) {
    expect(dequantise(stored.entries.get(path)!.dtype, bytes), path).toEqual(values.get(path));
  }
});

it('converts f32 to bf16 as PyTorch does', async () => {
  const { values, report } = await valuesOf(await modelSources('gemma3-tiny'), 'bf16');
  const { values: official } = await valuesOf(await modelSources('gemma3-tiny-bf16'), 'f32');
  expect(values).toEqual(official);
  expect(formatLoadReport(report)).toMatch(/converted +\d+ \(\d+ f32 → bf16\)/);
});

const config = await fixtureBytes('models/gemma3-tiny/config.json');

/** gemma3-tiny in memory, its tensors changed. */
async function changed(change: (tensors: Map<string, TensorData>) => void) {
  const { tensors } = await openSafetensors(
    bufferSource('m', await fixtureBytes('models/gemma3-tiny/model.safetensors')),
  );
  const data = new Map<string, TensorData>();
  for (const { name, shape, source, offset, byteLength } of tensors.values()) {
    data.set(name, { dtype: 'f32', shape, bytes: await source.read(offset, byteLength) });
  }
  change(data);
  const file = bufferSource('model.safetensors', await safetensorsToBytes(data));
  return gemmaWeightLoader({ from: [bufferSource('config.json', config), file] });
}

function renamed(rename: (name: string) => string) {
  return changed((tensors) => {
    const all = [...tensors];
    tensors.clear();
    for (const [name, tensor] of all) tensors.set(rename(name), tensor);
  });
}

it.each(['', 'language_model.model.', 'model.language_model.', 'language_model.', 'base_model.model.model.'])(
  'knows the prefix "%s"',
  async (prefix) => {
    const weights = await (await renamed((name) => prefix + name.replace('model.', ''))).open();
    expect(weights.entries.size).toBe(weights.model.params.length);
  },
);

it('leaves other towers out and says so', async () => {
  const loader = await changed((tensors) =>
    tensors.set('vision_tower.vision_model.embeddings.patch_embedding.bias', {
      dtype: 'f32',
      shape: [1],
      bytes: new Uint8Array(4),
    }),
  );
  const weights = await loader.open();
  const report = await weights.load(asStored(weights), memorySink().sink);
  expect(report.unused).toEqual(['vision_tower.vision_model.embeddings.patch_embedding.bias']);
});

it('drops a stored copy of the embedding, and refuses another', async () => {
  const copy = await changed((tensors) => tensors.set('lm_head.weight', tensors.get('model.embed_tokens.weight')!));
  const weights = await copy.open();
  expect((await weights.load(asStored(weights), memorySink().sink)).unused).toEqual(['lm_head.weight']);
  const other = await changed((tensors) => {
    const embedding = tensors.get('model.embed_tokens.weight')!;
    const bytes = (embedding.bytes as Uint8Array).slice();
    bytes[bytes.length - 1]! ^= 1;
    tensors.set('lm_head.weight', { ...embedding, bytes });
  });
  const opened = await other.open();
  const { sink, params } = memorySink();
  await expect(opened.load(asStored(opened), sink)).rejects.toThrow(/differs from the embedding/);
  expect(params.size).toBe(0);
});

it('fails on names, shapes and types before a byte moves', async () => {
  const misspelt = await renamed((name) => name.replace('layers.3.mlp.up_proj', 'layers.3.mlp.upp_proj'));
  await expect(misspelt.open()).rejects.toThrow(/layers\.3\.mlp\.upp_proj\.weight \(nearest: .*up_proj/);
  const layers = await renamed((name) => name.replace('layers.5.', 'layers.6.'));
  await expect(layers.open()).rejects.toBeInstanceOf(WeightNamesError);
  const twice = await changed((tensors) => tensors.set('norm.weight', tensors.get('model.norm.weight')!));
  await expect(twice.open()).rejects.toThrow(/norm\.weight and .*norm\.weight are the same parameter/);
  const shape = await changed((tensors) =>
    tensors.set('model.norm.weight', { dtype: 'f32', shape: [27], bytes: new Uint8Array(27 * 4) }),
  );
  await expect(shape.open()).rejects.toBeInstanceOf(WeightShapeError);
  const integers = await changed((tensors) =>
    tensors.set('model.norm.weight', { dtype: 'i32', shape: [28], bytes: new Uint8Array(28 * 4) }),
  );
  await expect(integers.open()).rejects.toBeInstanceOf(WeightDTypeError);

  const missing = await (await changed((tensors) => tensors.delete('model.layers.2.mlp.up_proj.weight'))).open();
  const targets = new Map(missing.model.params.map(({ path, shape }) => [path, { shape, dtype: 'f32' as const }]));
  expect(missing.notices.join()).toMatch(/1 parameters have no weights in the files: layers\.2\.mlp\.upProj\.weight\./);
  const { sink, params, initialised } = memorySink();
  await expect(missing.load(targets, sink)).rejects.toThrow(
    /1 parameters have no weights in the file:\n +layers\.2\.mlp\.upProj/,
  );
  const wrongType = new Map(targets).set('finalNorm.weight', { shape: [28], dtype: 'u32' as never });
  await expect(missing.load(wrongType, sink, { allowMissing: /upProj/ })).rejects.toBeInstanceOf(WeightDTypeError);
  expect(params.size).toBe(0);
  const report = await missing.load(targets, sink, { allowMissing: /^layers\.2\.mlp\.upProj/g });
  expect(report.initialised).toEqual(['layers.2.mlp.upProj.weight']);
  expect([...initialised.keys()]).toEqual(report.initialised);

  const fewer = new Map([...targets].filter(([path]) => path !== 'finalNorm.weight'));
  await expect(missing.load(fewer, sink, { allowMissing: /upProj/ })).rejects.toThrow(/not asked for/);
});

it('stops at a signal, and reports progress up to the last byte', async () => {
  const weights = await (await changed(() => {})).open();
  const stop = new AbortController();
  const onProgress = () => stop.abort(new Error('enough'));
  await expect(weights.load(asStored(weights), memorySink().sink, { signal: stop.signal, onProgress })).rejects.toThrow(
    'enough',
  );
  let last = { bytes: 0, totalBytes: 1, path: '' };
  await weights.load(asStored(weights), memorySink().sink, { onProgress: (progress) => (last = progress) });
  expect(last.bytes).toBe(last.totalBytes);
});

it('opens shards by their index, Blobs, and says what is not there', async () => {
  const { tensors } = await openSafetensors(
    bufferSource('m', await fixtureBytes('models/gemma3-tiny/model.safetensors')),
  );
  const parts = [new Map<string, TensorData>(), new Map<string, TensorData>()];
  const map: Record<string, string> = {};
  let i = 0;
  for (const { name, shape, source, offset, byteLength } of tensors.values()) {
    const part = i++ % 2;
    map[name] = `model-0000${part + 1}-of-00002.safetensors`;
    parts[part]!.set(name, { dtype: 'f32', shape, bytes: await source.read(offset, byteLength) });
  }
  const shards = await Promise.all(
    parts.map(async (part, n) =>
      bufferSource(`model-0000${n + 1}-of-00002.safetensors`, await safetensorsToBytes(part)),
    ),
  );
  const index = (weightMap: object) =>
    bufferSource('model.safetensors.index.json', new TextEncoder().encode(JSON.stringify({ weight_map: weightMap })));
  const configSource = blobSource(new Blob([new Uint8Array(config)]), 'config.json');
  const open = (from: Parameters<typeof gemmaWeightLoader>[0]['from']) => gemmaWeightLoader({ from }).open();
  expect((await open([configSource, index(map), ...shards])).entries.size).toBe(tensors.size);
  await expect(open([configSource, index(map), shards[0]!])).rejects.toThrow(
    /there is no model-00002-of-00002\.safetensors/,
  );
  await expect(open([configSource, index({ ...map, 'model.x': shards[0]!.name }), ...shards])).rejects.toThrow(
    /names model\.x/,
  );
  const { 'model.norm.weight': _, ...rest } = map;
  await expect(open([configSource, index(rest), ...shards])).rejects.toThrow(/model\.norm\.weight.*no file/);
  await expect(open([shards[0]!])).rejects.toThrow(/no config\.json/);
  await expect(open('./no/such/folder')).rejects.toBeInstanceOf(WeightSourceError);
});
