import { describe, expect, it } from 'vitest';
import { ConfigError, UnknownModelError } from '../../config/errors.js';
import { gemmaConfigFromGguf } from './gguf.js';
import { gemmaPresets } from './presets.js';

/** Gemma 3 27B, as llama.cpp's converter writes it. */
const gemma3 = {
  'general.architecture': 'gemma3',
  'general.type': 'model',
  'gemma3.context_length': 131072,
  'gemma3.embedding_length': 5376,
  'gemma3.block_count': 62,
  'gemma3.feed_forward_length': 21504,
  'gemma3.attention.head_count': 32,
  'gemma3.attention.head_count_kv': 16,
  'gemma3.attention.key_length': 128,
  'gemma3.attention.value_length': 128,
  'gemma3.attention.layer_norm_rms_epsilon': Math.fround(1e-6),
  'gemma3.attention.sliding_window': 1024,
  'gemma3.rope.freq_base': 1e6,
  'gemma3.rope.scaling.type': 'linear',
  'gemma3.rope.scaling.factor': 8,
  'tokenizer.ggml.tokens': Array.from({ length: 262144 }, () => ''),
};

/** Gemma 2 2B. */
const gemma2 = {
  'general.architecture': 'gemma2',
  'gemma2.context_length': 8192,
  'gemma2.embedding_length': 2304,
  'gemma2.block_count': 26,
  'gemma2.feed_forward_length': 9216,
  'gemma2.attention.head_count': 8,
  'gemma2.attention.head_count_kv': 4,
  'gemma2.attention.layer_norm_rms_epsilon': Math.fround(1e-6),
  'gemma2.attention.key_length': 256,
  'gemma2.attention.value_length': 256,
  'gemma2.attn_logit_softcapping': 50,
  'gemma2.final_logit_softcapping': 30,
  'gemma2.attention.sliding_window': 4096,
  'gemma2.vocab_size': 256000,
};

const without = (metadata: Readonly<Record<string, unknown>>, key: string) =>
  Object.fromEntries(Object.entries(metadata).filter(([name]) => name !== key));

describe('gemmaConfigFromGguf', () => {
  it('knows the query scale of the 27B models', () => {
    expect(gemmaConfigFromGguf(gemma3)).toEqual(gemmaPresets['gemma-3-27b']);
    expect(gemmaConfigFromGguf(gemma2)).toEqual(gemmaPresets['gemma-2-2b']);
  });

  it('names what is missing or foreign', () => {
    expect(() => gemmaConfigFromGguf(without(gemma3, 'gemma3.block_count'))).toThrow(/gemma3\.block_count is missing/);
    expect(() => gemmaConfigFromGguf({ 'general.architecture': 'llama' })).toThrow(UnknownModelError);
  });

  it('takes the soft-caps that a file says, 0 for none', () => {
    const capped = { 'gemma3.final_logit_softcapping': 30, 'gemma3.attn_logit_softcapping': 20 };
    expect(gemmaConfigFromGguf({ ...gemma3, ...capped })).toMatchObject({
      finalLogitSoftcap: 30,
      attnLogitSoftcap: 20,
    });
    expect(gemmaConfigFromGguf(without(gemma2, 'gemma2.attn_logit_softcapping')).attnLogitSoftcap).toBe(50);
    expect(gemmaConfigFromGguf({ ...gemma2, 'gemma2.attn_logit_softcapping': 0 }).attnLogitSoftcap).toBeNull();
  });

  it('makes every layer of a Gemma 3 global where no window is said, as llama.cpp does; Gemma 2 has 4096', () => {
    for (const metadata of [
      without(gemma3, 'gemma3.attention.sliding_window'),
      { ...gemma3, 'gemma3.attention.sliding_window': 0 },
    ]) {
      const { slidingWindow, layerTypes } = gemmaConfigFromGguf(metadata);
      expect(slidingWindow).toBeNull();
      expect(new Set(layerTypes)).toEqual(new Set(['global']));
    }
    expect(gemmaConfigFromGguf(without(gemma2, 'gemma2.attention.sliding_window'))).toEqual(gemmaPresets['gemma-2-2b']);
  });

  it('takes the pattern of local layers, as a period or as a list', () => {
    const key = 'gemma3.attention.sliding_window_pattern';
    const globals = (pattern: unknown) =>
      gemmaConfigFromGguf({ ...gemma3, [key]: pattern }).layerTypes.flatMap((type, i) =>
        type === 'global' ? [i] : [],
      );
    expect(globals(20)).toEqual([19, 39, 59]);
    expect(globals(0)).toEqual([]);
    expect(globals(1)).toHaveLength(62);
    expect(globals(Array.from({ length: 62 }, (_, i) => i !== 7))).toEqual([7]);
    for (const bad of [[true], 'x', 2.5, Array.from({ length: 62 }, () => 'local')])
      expect(() => globals(bad)).toThrow(/sliding_window_pattern/);
  });

  it('takes one number for all layers written once for each, and bases of the rope by their other names', () => {
    const heads = Array.from({ length: 62 }, () => 32);
    expect(gemmaConfigFromGguf({ ...gemma3, 'gemma3.attention.head_count': heads }).numHeads).toBe(32);
    const ollama = {
      'gemma3.rope.global.freq_base': 5e5,
      'gemma3.rope.local.freq_base': 2e4,
      'gemma3.vision.block_count': 27,
    };
    const found = gemmaConfigFromGguf({ ...without(gemma3, 'gemma3.rope.freq_base'), ...ollama });
    expect(found).toMatchObject({ ropeTheta: 5e5, ropeLocalTheta: 2e4 });
    expect(gemmaConfigFromGguf({ ...gemma3, 'gemma3.rope.freq_base_swa': 3e4 }).ropeLocalTheta).toBe(3e4);
    expect(gemmaConfigFromGguf(without(gemma3, 'gemma3.rope.scaling.type')).ropeScalingFactor).toBe(8);
    expect(gemmaConfigFromGguf({ ...gemma3, 'gemma3.rope.scaling.type': 'none' }).ropeScalingFactor).toBe(1);
  });

  it('ends answers at every end that is said', () => {
    const ends = {
      'tokenizer.ggml.eos_token_id': 1,
      'tokenizer.ggml.eot_token_id': 106,
      'tokenizer.ggml.eom_token_id': 107,
    };
    expect(gemmaConfigFromGguf({ ...gemma3, ...ends }).eosTokenIds).toEqual([1, 106, 107]);
  });

  it.each<[string, unknown, object?]>([
    ['gemma3.attention.causal', false],
    ['gemma3.attention.scale', 0.25],
    ['gemma3.attention.value_length', 64],
    ['gemma3.attention.key_length_swa', 64],
    ['gemma3.attention.shared_kv_layers', 10],
    ['gemma3.attention.temperature_scale', 2],
    ['gemma3.rope.dimension_count', 64],
    ['gemma3.rope.scaling.type', 'yarn'],
    ['gemma3.rope.scaling.attn_factor', 1.5],
    ['gemma3.rope.scaling.yarn_ext_factor', 1],
    ['gemma3.expert_count', 8],
    ['gemma3.feed_forward_length', [21504, 1]],
    ['gemma3.embedding_scale', 2],
    ['gemma3.logit_scale', 2],
    ['gemma3.something_new', 1],
    ['general.type', 'adapter'],
    ['gemma2.rope.scaling.factor', 8, gemma2],
    ['gemma2.rope.freq_base_swa', 5, gemma2],
  ])('refuses %s = %j by name', (key, value, metadata = gemma3) => {
    const read = () => gemmaConfigFromGguf({ ...metadata, [key]: value });
    expect(read).toThrow(ConfigError);
    expect(read).toThrow(key);
  });

  it('lets pass what changes nothing', () => {
    const harmless = {
      'gemma3.rope.scaling.original_context_length': 32768,
      'gemma3.rope.dimension_count': 128,
      'gemma3.attention.scale': Math.fround(168 ** -0.5),
      'gemma3.attention.causal': true,
      'gemma3.expert_count': 0,
      'gemma3.pooling_type': 1,
      'general.file_type': 15,
      'llama.block_count': 3,
    };
    expect(gemmaConfigFromGguf({ ...gemma3, ...harmless })).toEqual(gemmaPresets['gemma-3-27b']);
  });
});
