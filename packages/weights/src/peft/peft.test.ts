import { gemmaConfigFromHf, modelOf, paliGemmaConfigFromHf, type Model } from '@lapidary/gemma';
import { expect, it } from 'vitest';
import { adapterSources } from '../../../../test/support/fixture-sources.js';
import { peftFileBytes } from '../../../../test/support/peft-files.js';
import { fixtureBytes, fixtureJson } from '../../../../test/support/safetensors-fixture.js';
import { encodeFloats } from '../dtype/convert.js';
import { AdapterError } from '../errors.js';
import { openSafetensors } from '../safetensors/read.js';
import { safetensorsToBytes, type TensorData } from '../safetensors/write.js';
import { bufferSource } from '../source/byte-source.js';
import { readPeftAdapter } from './open.js';
import type { PeftAdapter } from './read.js';
import { peftAdapterFiles } from './write.js';

const json = (bytes: Uint8Array) => JSON.parse(new TextDecoder().decode(bytes)) as Record<string, unknown>;
const gemmaOf = async (name: string) => modelOf(gemmaConfigFromHf(await fixtureJson(`models/${name}/config.json`)));
const filesOf = async (folder: string) => ({
  'adapter_config.json': await fixtureBytes(`${folder}/adapter_config.json`),
  'adapter_model.safetensors': await fixtureBytes(`${folder}/adapter_model.safetensors`),
});
const writtenAgain = async (
  model: Model,
  { baseModel = '', baseWeights: _, ...adapter }: PeftAdapter,
  change: object = {},
) => peftFileBytes(peftAdapterFiles({ model, ...adapter, params: wholes(model, adapter), baseModel, ...change }));
/** Parameters that were trained whole, as they are to be written. */
const wholes = (model: Model, { params }: Pick<PeftAdapter, 'params'>) => {
  const shapes = new Map(model.params.map(({ path, shape }) => [path, shape] as const));
  return new Map(
    [...params].map(([path, values]) => {
      const shape = shapes.get(path === model.headPath ? model.embeddingPath : path)!;
      return [path, { dtype: 'f32', shape, bytes: encodeFloats(values, 'f32') } satisfies TensorData] as const;
    }),
  );
};
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
  const rslora = kind === 'rslora';
  expect(adapter).toMatchObject({ rslora, splitsEmbedding: false });
  expect(adapter.params.size).toBe(0);
  expect(new Set([...adapter.updates.values()].map(({ scale }) => scale))).toEqual(new Set([rslora ? 4 : 2]));
  expect(adapter.targets).toHaveLength(7);
  expect(adapter.tensors.size).toBe(model.config.numLayers * 14);
  const files = await writtenAgain(model, adapter);

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
  const files = await writtenAgain(model, adapter);
  expect(await contents(files['adapter_model.safetensors'])).toEqual(
    await contents((await filesOf(folder))['adapter_model.safetensors']),
  );
  // Short names would mean the linears of both towers: what was trained is named in full.
  const targets = json(files['adapter_config.json'])['target_modules'] as string[];
  expect(targets).toHaveLength(layers / 2);
  expect(targets.every((name) => /^model\.(language_model|vision_tower)\./.test(name))).toBe(true);
});

const paliGemmaOf = async (name: string) =>
  modelOf(paliGemmaConfigFromHf(await fixtureJson(`models/${name}/config.json`)));

it.each([
  ['patterns', 'gemma3-tiny'],
  ['patterns-rslora', 'gemma3-tiny'],
  ['some-layers', 'gemma3-tiny'],
  ['all-linear', 'gemma1-tiny'],
  ['dora', 'gemma2-tiny'],
  ['dora-vision', 'paligemma1-tiny'],
  ['embedding-head', 'gemma1-tiny'],
  ['embedding-tied', 'gemma2-tiny'],
  ['head', 'gemma2-tiny'],
  ['saved-embedding', 'gemma1-tiny'],
  ['norms', 'gemma2-tiny'],
  ['embedding-vision', 'paligemma2-tiny'],
])('writes what else PEFT’s adapters hold as it was read: %s', async (name, base) => {
  const model = await (base.startsWith('pali') ? paliGemmaOf : gemmaOf)(base);
  const adapter = await readPeftAdapter(await adapterSources(`adapters/${name}`), { model });
  const again = await readPeftAdapter(sources(await writtenAgain(model, adapter)), { model });
  // Scales by how they come about, and names by what has them.
  expect({ ...again, baseModel: undefined }).toEqual({ ...adapter, baseModel: undefined });
  expect(adapter.tensors.size + adapter.params.size).toBeGreaterThan(0);
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
  const updates = new Map([['layers.1.attn.qProj', { rank: 4, alpha: 8 }]]);
  const files = peftAdapterFiles({ model, updates, tensors: some });
  expect(json(files['adapter_config.json'])['target_modules']).toEqual(['model.layers.1.self_attn.q_proj']);
});

it('refuses what does not fit', async () => {
  const adapter = await readPeftAdapter(sources(official), { model });
  const write = (change: object) => writtenAgain(model, adapter, change);
  const one = new Map([['layers.0.attn.qProj', { rank: 4, alpha: 8 }]]);
  const of = (linear: string) => ({ tensors: new Map([[`${linear}.lora.a`, new Float32Array(112)]]) });
  await expect(write({ updates: new Map([...adapter.updates].map(([path]) => [path, { rank: 5 }])) })).rejects.toThrow(
    /values, but \[5, 52\] is expected/,
  );
  await expect(write({ tensors: new Map() })).rejects.toBeInstanceOf(AdapterError);
  await expect(write({ updates: new Map() })).rejects.toThrow(/no LoRA tensors to write/);
  await expect(write({ updates: one, ...of('layers.0.attn.qProj') })).rejects.toThrow(/no \S+\.lora\.b beside/);
  await expect(write({ updates: one })).rejects.toThrow(/no LoRA tensor of a linear that has an update/);
  await expect(write({ updates: new Map([['layers.9.attn.qProj', one.get('layers.0.attn.qProj')]]) })).rejects.toThrow(
    /no linear of this model/,
  );
  await expect(write({ params: new Map([['layers.9.inputNorm.weight', {}]]) })).rejects.toThrow(/no parameter/);
  await expect(readPeftAdapter(sources(official), { model: await gemmaOf('gemma2-tiny') })).rejects.toBeInstanceOf(
    AdapterError,
  );
});

it.each([NaN, Infinity, -Infinity])('refuses an adapter with %d in it, by tensor', async (value) => {
  const bytes = official['adapter_model.safetensors']!.slice();
  new DataView(bytes.buffer).setFloat32(bytes.length - 4, value, true);
  const refused = readPeftAdapter(sources({ ...official, 'adapter_model.safetensors': bytes }), { model });
  await expect(refused).rejects.toBeInstanceOf(AdapterError);
  await expect(refused).rejects.toThrow(/tensor base_model\.\S+: holds values that are not finite/);
});

/** The adapter with other fields in its adapter_config.json, or other tensors. */
const described = (change: object) => ({
  ...official,
  'adapter_config.json': new TextEncoder().encode(
    JSON.stringify({ ...json(official['adapter_config.json']), ...change }),
  ),
});
const read = (files: Record<string, Uint8Array>) => readPeftAdapter(sources(files), { model });

it.each([
  [{ peft_type: 'IA3' }, /IA3/],
  [{ r: 8 }, /rank 8 on this model takes/],
  [{ r: 0 }, /r is 0/],
  [{ r: 2.5 }, /r is 2\.5/],
  [{ lora_alpha: 0 }, /lora_alpha is 0, not a number above 0/],
  [{ lora_alpha: -8 }, /lora_alpha is -8/],
  [{ lora_alpha: '16' }, /lora_alpha is "16"/],
  [{ lora_dropout: 1 }, /lora_dropout is 1/],
  [{ use_rslora: 'yes' }, /use_rslora is "yes"/],
  [{ use_dora: true }, /there is no layers\.\d\.\S+\.lora\.magnitude/],
  [{ bias: 'all' }, /bias is "all"/],
  [{ bias: 'lora_only' }, /bias is "lora_only"/],
  ...['pissa', 'pissa_niter_16', 'olora', 'corda', 'loftq', 'lora_ga', 'newest'].map(
    (start) => [{ init_lora_weights: start }, new RegExp(`init_lora_weights is "${start}": .*base`)] as const,
  ),
  [{ fan_in_fan_out: true }, /fan_in_fan_out is true/],
  [{ lora_bias: true }, /lora_bias is true: updates have biases/],
  [{ trainable_token_indices: [1, 2] }, /trainable_token_indices is \[1,2\]/],
  [{ trainable_token_indices: { embed_tokens: [3] } }, /trainable_token_indices/],
  [{ alora_invocation_tokens: [7, 8] }, /alora_invocation_tokens .*aLoRA/],
  [{ use_qalora: true, qalora_group_size: 16 }, /use_qalora/],
  [{ layer_replication: [[0, 2]] }, /layer_replication/],
  [{ megatron_config: { a: 1 } }, /megatron_config/],
  [{ target_parameters: ['mlp.experts.down_proj'] }, /target_parameters/],
  [{ arrow_config: { top_k: 2 } }, /arrow_config/],
  [{ kasa_config: { beta: 1 } }, /kasa_config/],
  [{ monteclora_config: { n: 1 } }, /monteclora_config/],
  [{ use_bdlora: { blocks: 2 } }, /use_bdlora/],
  [{ velora_config: { groups: 1 } }, /velora_config/],
  [{ enable_lora: [true, false] }, /enable_lora/],
  [{ of_the_future: 1 }, /of_the_future is 1: a field that is not known here/],
  [{ rank_pattern: { q_proj: 2 } }, /rank 2 on this model takes \[2, /],
  [{ rank_pattern: { q_proj: 0 } }, /rank_pattern\["q_proj"\] is 0/],
  [{ rank_pattern: [4] }, /rank_pattern is \[4\], not an object/],
  [{ rank_pattern: { '(q|v': 4 } }, /rank_pattern has "\(q\|v", which cannot be read/],
  [{ alpha_pattern: { q_proj: -1 } }, /alpha_pattern\["q_proj"\] is -1/],
  [{ alpha_pattern: { 'q_proj\\Z': 1 } }, /alpha_pattern has .*cannot be read/],
  [{ target_modules: ['q_proj'] }, /does not name its module/],
  [{ target_modules: String.raw`.*\.mlp\..*` }, /does not name its module/],
  // PEFT then has updates of q_proj and v_proj only.
  [{ target_modules: null }, /(down|up|gate|k|o)_proj\S* .*does not name its module/],
  [{ target_modules: 4 }, /target_modules is 4/],
  [{ exclude_modules: ['layers.2.mlp.up_proj'] }, /does not name its module/],
  [{ layers_to_transform: [0, 1] }, /does not name its module/],
  [{ layers_to_transform: 'all' }, /layers_to_transform is "all"/],
  [{ modules_to_save: ['embed_tokens'] }, /there is no embedTokens\.weight, though modules_to_save/],
  [{ modules_to_save: ['lm_head'] }, /there is no lmHead\.weight/],
  [{ modules_to_save: 'norm' }, /modules_to_save is "norm"/],
  [{ ensure_weight_tying: 1 }, /ensure_weight_tying is 1/],
] as const)('refuses by name what it cannot apply: %j', async (change, message) => {
  const reading = read(described(change));
  await expect(reading).rejects.toBeInstanceOf(AdapterError);
  await expect(reading).rejects.toThrow(message);
});

it.each([
  { task_type: 'FEATURE_EXTRACTION', auto_mapping: { base_model_class: 'X' }, revision: 'main', peft_version: '9' },
  { inference_mode: false, runtime_config: { ephemeral_gpu_offload: true }, merge_weights: true },
  {
    init_lora_weights: 'eva',
    eva_config: { rho: 2 },
    loftq_config: { loftq_bits: 4 },
    corda_config: { verbose: true },
  },
  { init_lora_weights: 'gaussian', lora_ga_config: { scale: 1 } },
  { megatron_core: 'megatron.core', qalora_group_size: 32, use_qalora: false, layers_pattern: 'layers' },
  { exclude_modules: [], trainable_token_indices: null, arrow_config: null, of_the_future: null },
  { target_modules: 'all-linear', layers_to_transform: [0, 1, 2, 3, 4, 5], modules_to_save: [] },
  { modules_to_save: ['score', 'classifier'], rank_pattern: { of_another: 64 }, alpha_pattern: null },
])('knows to be harmless: %j', async (change) => {
  expect((await read(described(change))).tensors).toEqual((await read(official)).tensors);
});

it('a module that is named in full is adapted in whichever layer', async () => {
  const linears = [
    ...['q_proj', 'k_proj', 'v_proj', 'o_proj'].map((name) => `self_attn.${name}`),
    ...['gate_proj', 'up_proj', 'down_proj'].map((name) => `mlp.${name}`),
  ];
  const full = linears.flatMap((name) => [0, 2, 3, 4, 5].map((layer) => `model.layers.${layer}.${name}`));
  const ends = linears.map((name) => name.split('.')[1]!);
  const change = { target_modules: [...ends, ...full], layers_to_transform: 1 };
  expect((await read(described(change))).tensors).toEqual((await read(official)).tensors);
  const missing = { ...change, target_modules: [...ends, ...full.slice(1)] };
  await expect(read(described(missing))).rejects.toThrow(/layers\.0\.self_attn\.q_proj\S* .*does not name its module/);
});

it.each([
  ['base_model.model.score.weight', /belongs to no linear and no parameter/],
  ['base_model.model.model.norm.weight', /modules_to_save in adapter_config\.json does not name it/],
  ['base_model.model.model.embed_tokens.lora_embedding_A', /LoRA of the table of words/],
  ['base_model.model.model.layers.0.self_attn.q_proj.lora_A.other.weight', /belongs to no/],
  ['base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector', /use_dora is false/],
  ['base_model.model.model.layers.0.self_attn.q_proj.lora_A.default.weight', /is there twice/],
  ['base_model.model.model.vision_tower.encoder.layers.0.self_attn.q_proj.lora_A.weight', /no LoRA tensor of a linear/],
])('refuses a tensor that has no place: %s', async (name, message) => {
  const tensors = await contents(official['adapter_model.safetensors']);
  tensors.set(name, { ...[...tensors.values()][0]!, ...tensors.get(name.replace('.default', ''))! });
  if (name.endsWith('norm.weight')) tensors.set(name, { dtype: 'f32', shape: [28], bytes: new Uint8Array(112) });
  const files = { ...official, 'adapter_model.safetensors': await safetensorsToBytes(tensors) };
  await expect(read(files)).rejects.toThrow(message);
});

it('keeps the two ends of a model apart only where they are', async () => {
  const files = await filesOf('adapters/embedding-head-tied');
  const gemma1 = await gemmaOf('gemma1-tiny');
  const tied = await readPeftAdapter(sources(files), { model: gemma1 });
  expect([...tied.params.keys()]).toEqual(['embedTokens.weight']);
  expect(tied.splitsEmbedding).toBe(false);
  // They differ, though they are said to be one.
  const tensors = await contents(files['adapter_model.safetensors']);
  const head = tensors.get('base_model.model.lm_head.weight')!;
  tensors.set('base_model.model.lm_head.weight', {
    ...head,
    bytes: head.bytes.map((byte, i) => (i === 2 ? byte ^ 1 : byte)),
  });
  const differing = { ...files, 'adapter_model.safetensors': await safetensorsToBytes(tensors) };
  await expect(readPeftAdapter(sources(differing), { model: gemma1 })).rejects.toThrow(/differ, but .* one table/);
  const config = { ...json(files['adapter_config.json']), ensure_weight_tying: false };
  const apart = { ...differing, 'adapter_config.json': new TextEncoder().encode(JSON.stringify(config)) };
  expect((await readPeftAdapter(sources(apart), { model: gemma1 })).splitsEmbedding).toBe(true);
});

it('says what to do about Python’s old files', async () => {
  const { 'adapter_config.json': config } = official;
  await expect(
    readPeftAdapter(sources({ 'adapter_config.json': config, 'adapter_model.bin': new Uint8Array(4) }), { model }),
  ).rejects.toThrow(/no adapter_model\.safetensors.*adapter_model\.bin/);
});
