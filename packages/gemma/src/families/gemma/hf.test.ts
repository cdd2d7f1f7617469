import { describe, expect, it } from 'vitest';
import { ConfigError, UnknownModelError } from '../../config/errors.js';
import type { GemmaConfig } from './config.js';
import { gemmaConfigFromHf, gemmaConfigToHf } from './hf.js';
import { gemmaPresets } from './presets.js';

describe('gemmaConfigFromHf', () => {
  it.each(Object.entries(gemmaPresets))('reads back what gemmaConfigToHf writes: %s', (_, preset: GemmaConfig) => {
    expect(gemmaConfigFromHf(JSON.parse(JSON.stringify(gemmaConfigToHf(preset))))).toEqual(preset);
  });

  it('fills in what a multimodal Gemma 3 4B file leaves out', () => {
    const config = gemmaConfigFromHf({
      model_type: 'gemma3',
      eos_token_id: [1, 106],
      text_config: {
        hidden_size: 2560,
        intermediate_size: 10240,
        model_type: 'gemma3_text',
        num_hidden_layers: 34,
        rope_scaling: { factor: 8, rope_type: 'linear' },
        sliding_window: 1024,
      },
      vision_config: {},
    });
    expect(config).toEqual({ ...gemmaPresets['gemma-3-4b'], vocabSize: 262208, eosTokenIds: [1, 106] });
  });

  it('reads the old spellings of Gemma 3 1B', () => {
    const json = {
      model_type: 'gemma3_text',
      attn_logit_softcapping: null,
      bos_token_id: 2,
      eos_token_id: 1,
      head_dim: 256,
      hidden_size: 1152,
      intermediate_size: 6912,
      max_position_embeddings: 32768,
      num_attention_heads: 4,
      num_hidden_layers: 26,
      num_key_value_heads: 1,
      query_pre_attn_scalar: 256,
      rope_local_base_freq: 10000,
      rope_scaling: null,
      rope_theta: 1000000,
      sliding_window: 512,
      sliding_window_pattern: 6,
      vocab_size: 262144,
    };
    expect(gemmaConfigFromHf(json)).toEqual(gemmaPresets['gemma-3-1b']);
  });

  it('takes "gelu" of Gemma 1 files for what it means', () => {
    const json = { ...gemmaConfigToHf(gemmaPresets['gemma-2b']), hidden_act: 'gelu', hidden_activation: null };
    expect(gemmaConfigFromHf(json)).toEqual(gemmaPresets['gemma-2b']);
  });

  it.each(['llama', 'gemma3n', 'gemma4', 'paligemma', 'constructor', undefined])('refuses model_type %s', (type) => {
    expect(() => gemmaConfigFromHf({ model_type: type })).toThrow(UnknownModelError);
    expect(() => gemmaConfigFromHf({ model_type: type })).toThrow(/Supported: gemma, gemma2, gemma3_text, gemma3\./);
  });

  it.each([
    [{ hidden_size: '2304' }, /hidden_size is "2304", not a finite number/],
    [{ num_hidden_layers: 1e9 }, /number of layers/],
    [{ num_key_value_heads: 3 }, /no divisor of the 8 query heads/],
    [{ layer_types: ['full_attention'] }, /not one entry for each of 26 layers/],
    [{ layer_types: ['chunked'] }, /layer_types\[0\]/],
    [{ tie_word_embeddings: false }, /shares its embedding/],
    [{ attention_bias: true }, /biases/],
    [{ hidden_activation: 'silu' }, /gelu_pytorch_tanh/],
    [{ use_bidirectional_attention: true }, /causal/],
    [{ rope_scaling: { rope_type: 'yarn', factor: 2 } }, /neither default nor linear/],
    [{ eos_token_id: 'x' }, /eos_token_id/],
  ])('refuses %j', (fields, message) => {
    const read = () => gemmaConfigFromHf({ model_type: 'gemma3_text', ...fields });
    expect(read).toThrow(ConfigError);
    expect(read).toThrow(message);
  });
});
