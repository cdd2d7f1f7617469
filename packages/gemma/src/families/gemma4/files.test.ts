import { describe, expect, it } from 'vitest';
import { ConfigError, UnknownModelError } from '../../config/errors.js';
import type { Gemma4Config } from './config.js';
import { gemma4ConfigFromGguf } from './gguf.js';
import { gemma4ConfigFromHf, gemma4ConfigToHf } from './hf.js';
import { gemma4Presets } from './presets.js';

const e2b = gemma4Presets['gemma-4-e2b'];
const big = gemma4Presets['gemma-4-31b'];
const hf: Readonly<Record<string, unknown>> = gemma4ConfigToHf(e2b);
const bigHf: Readonly<Record<string, unknown>> = gemma4ConfigToHf(big);
const without = (json: Readonly<Record<string, unknown>>, ...fields: string[]) =>
  Object.fromEntries(Object.entries(json).filter(([field]) => !fields.includes(field)));

/** As transformers writes it since 5.6: what is different, layer by layer. */
function perLayer(json: Readonly<Record<string, unknown>>, heads: Readonly<Record<string, number>>) {
  const types = json['layer_types'] as string[];
  const entries = types.flatMap((type, i) => (type === 'full_attention' ? [[String(i), heads] as const] : []));
  return {
    ...without(json, 'global_head_dim', 'num_global_key_value_heads'),
    per_layer_config: Object.fromEntries(entries),
  };
}

describe('config.json of a Gemma 4', () => {
  it('says sizes of heads in two spellings', () => {
    expect(gemma4ConfigFromHf(perLayer(hf, { head_dim: 512 }))).toEqual(e2b);
    expect(gemma4ConfigFromHf(perLayer(bigHf, { head_dim: 512, num_key_value_heads: 4 }))).toEqual(big);
    // Without keys that are values the number of global heads does not count.
    expect(gemma4ConfigFromHf({ ...hf, num_global_key_value_heads: 4 })).toEqual(e2b);
  });

  it('is the text part of a whole model, stop tokens beside it', () => {
    const told: string[] = [];
    const whole = {
      model_type: 'gemma4',
      text_config: without(hf, 'architectures'),
      vision_config: { model_type: 'gemma4_vision' },
      audio_config: null,
      image_token_id: 258880,
      eoa_token_index: 258883,
      eos_token_id: [1, 106, 50],
    };
    expect(gemma4ConfigFromHf(whole, (notice) => told.push(notice))).toEqual({ ...e2b, eosTokenIds: [1, 106, 50] });
    expect(told).toEqual([]);
    const written = gemma4ConfigToHf({ ...e2b, eosTokenIds: [1, 106, 50] }, whole);
    expect(written).toMatchObject({
      model_type: 'gemma4',
      vision_config: whole.vision_config,
      eos_token_id: [1, 106, 50],
    });
    expect(gemma4ConfigFromHf(written)).toEqual({ ...e2b, eosTokenIds: [1, 106, 50] });
  });

  it('knows what the unified form leaves out', () => {
    const text = { model_type: 'gemma4_unified_text', num_hidden_layers: 6 };
    expect(gemma4ConfigFromHf({ model_type: 'gemma4_unified', text_config: text })).toMatchObject({
      hiddenSizePerLayerInput: 0,
      slidingWindow: 1024,
      maxPositionEmbeddings: 262144,
    } satisfies Partial<Gemma4Config>);
    expect(gemma4ConfigFromHf({ model_type: 'gemma4_text' })).toMatchObject({
      hiddenSizePerLayerInput: 256,
      slidingWindow: 512,
      finalLogitSoftcap: null,
    } satisfies Partial<Gemma4Config>);
  });

  it('makes the last layer global whatever it says, as transformers', () => {
    const types = [...(hf['layer_types'] as string[]).slice(0, -1), 'sliding_attention'];
    expect(gemma4ConfigFromHf({ ...hf, layer_types: types })).toEqual(e2b);
  });

  it.each<[string, Readonly<Record<string, unknown>>, string]>([
    ['experts', { enable_moe_block: true }, 'enable_moe_block'],
    ['biases', { attention_bias: true }, 'attention_bias'],
    ['another attention', { use_bidirectional_attention: 'all' }, 'use_bidirectional_attention'],
    ['another activation', { hidden_activation: 'silu' }, 'hidden_activation'],
    ['an own head', { tie_word_embeddings: false }, 'tie_word_embeddings'],
    ['both spellings', { per_layer_config: {} }, 'global_head_dim'],
    [
      'layers of which one is another',
      { global_head_dim: null, per_layer_config: { 4: { head_dim: 64 } } },
      'per_layer_config.9.head_dim',
    ],
    [
      'other differences',
      { global_head_dim: null, per_layer_config: { 4: { sliding_window: 3 } } },
      'per_layer_config.4.sliding_window',
    ],
    ['a layer that is not there', { global_head_dim: null, per_layer_config: { 99: {} } }, 'per_layer_config.99'],
    ['old names of the rotation', { rope_theta: 1e6 }, 'rope_theta'],
    [
      'another rotation',
      {
        rope_parameters: { ...(hf['rope_parameters'] as object), full_attention: { rope_type: 'yarn', rope_theta: 1 } },
      },
      'rope_parameters.full_attention.rope_type',
    ],
    [
      'a share that is not read',
      {
        rope_parameters: {
          full_attention: { rope_type: 'default', rope_theta: 1e6, partial_rotary_factor: 0.25 },
          sliding_attention: { rope_theta: 1e4 },
        },
      },
      'rope_parameters.full_attention.partial_rotary_factor',
    ],
    [
      'local layers that turn in part',
      {
        rope_parameters: {
          full_attention: { rope_theta: 1e6 },
          sliding_attention: { rope_type: 'proportional', rope_theta: 1e4, partial_rotary_factor: 0.5 },
        },
      },
      'rope_parameters.sliding_attention.partial_rotary_factor',
    ],
    ['all layers sharing', { num_kv_shared_layers: 35 }, 'numKvSharedLayers'],
    ['a kind of layers that share with none', { num_kv_shared_layers: 31 }, 'numKvSharedLayers'],
    ['fewer inputs than words', { vocab_size_per_layer_input: 1000 }, 'vocabSizePerLayerInput'],
    ['odd heads', { global_head_dim: 33 }, 'globalHeadDim'],
    ['a list of heads', { num_key_value_heads: 3 }, 'numKvHeads'],
  ])('refuses %s', (_, changes, field) => {
    const read = () => gemma4ConfigFromHf({ ...hf, ...changes });
    expect(read).toThrow(ConfigError);
    expect(read).toThrow(expect.objectContaining({ field }) as Error);
  });

  it('tells of fields that nobody knows', () => {
    const told: string[] = [];
    gemma4ConfigFromHf({ ...hf, new_thing: 3 }, (notice) => told.push(notice));
    expect(told.join()).toMatch(/new_thing, which is not known/);
    expect(() => gemma4ConfigFromHf({ model_type: 'gemma3_text' })).toThrow(UnknownModelError);
  });
});

/** E2B as llama.cpp's converter writes it. */
const gguf = {
  'general.architecture': 'gemma4',
  'general.type': 'model',
  'gemma4.context_length': 131072,
  'gemma4.embedding_length': 1536,
  'gemma4.block_count': 35,
  'gemma4.feed_forward_length': Array.from({ length: 35 }, (_, i) => (i < 15 ? 6144 : 12288)),
  'gemma4.attention.head_count': 8,
  'gemma4.attention.head_count_kv': 1,
  'gemma4.attention.layer_norm_rms_epsilon': Math.fround(1e-6),
  'gemma4.attention.key_length': 512,
  'gemma4.attention.value_length': 512,
  'gemma4.attention.key_length_swa': 256,
  'gemma4.attention.value_length_swa': 256,
  'gemma4.attention.sliding_window': 512,
  'gemma4.attention.sliding_window_pattern': Array.from({ length: 35 }, (_, i) => i % 5 !== 4),
  'gemma4.attention.shared_kv_layers': 20,
  'gemma4.embedding_length_per_layer_input': 256,
  'gemma4.rope.freq_base': 1e6,
  'gemma4.rope.freq_base_swa': 1e4,
  'gemma4.rope.dimension_count': 512,
  'gemma4.rope.dimension_count_swa': 256,
  'gemma4.final_logit_softcapping': 30,
  'tokenizer.ggml.tokens': Array.from({ length: 262144 }, () => ''),
};

describe('a GGUF of a Gemma 4', () => {
  it('says what its config.json says', () => {
    expect(gemma4ConfigFromGguf(gguf)).toEqual(e2b);
    const { 'gemma4.final_logit_softcapping': _cap, ...without } = gguf;
    expect(gemma4ConfigFromGguf(without).finalLogitSoftcap).toBe(30);
    expect(gemma4ConfigFromGguf({ ...gguf, 'gemma4.final_logit_softcapping': 0 }).finalLogitSoftcap).toBe(null);
    const pattern = big.layerTypes.map((type) => type === 'local');
    expect(
      gemma4ConfigFromGguf({
        ...gguf,
        'gemma4.context_length': 262144,
        'gemma4.embedding_length': 5376,
        'gemma4.block_count': 60,
        'gemma4.feed_forward_length': 21504,
        'gemma4.attention.head_count': 32,
        'gemma4.attention.head_count_kv': pattern.map((isLocal) => (isLocal ? 16 : 4)),
        'gemma4.attention.sliding_window': 1024,
        'gemma4.attention.sliding_window_pattern': pattern,
        'gemma4.attention.shared_kv_layers': 0,
        'gemma4.embedding_length_per_layer_input': 0,
      }),
    ).toEqual(big);
  });

  it.each<[string, unknown]>([
    ['gemma4.expert_count', 128],
    ['gemma4.attention.value_length', 256],
    ['gemma4.rope.dimension_count', 128],
    ['gemma4.rope.scaling.type', 'linear'],
    ['gemma4.attention.scale', 0.1],
    ['gemma4.attention.causal', false],
    ['gemma4.attention.sliding_window_pattern', undefined],
    ['gemma4.attention.head_count_kv', Array.from({ length: 35 }, (_, i) => 1 + (i % 2))],
    ['gemma4.attention.head_count_kv', [1, 2]],
    ['gemma4.feed_forward_length', Array.from({ length: 35 }, (_, i) => (i < 14 ? 6144 : 12288))],
    ['gemma4.new_key', 1],
    ['general.type', 'adapter'],
  ])('refuses %s of %j', (key, value) => {
    const read = () => gemma4ConfigFromGguf({ ...gguf, [key]: value });
    expect(read).toThrow(ConfigError);
    expect(read).toThrow(expect.objectContaining({ field: key }) as Error);
  });
});
