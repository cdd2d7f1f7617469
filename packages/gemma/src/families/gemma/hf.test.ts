import { describe, expect, it } from 'vitest';
import { fixtureJson } from '../../../../../test/support/safetensors-fixture.js';
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
    [{ hidden_activation: 'silu' }, /hidden_activation is "silu".*gelu_pytorch_tanh/],
    [{ hidden_activation: 'gelu' }, /hidden_activation is "gelu", which is the exact GELU/],
    [{ hidden_act: 'gelu' }, /hidden_act is "gelu", which is the exact GELU/],
    [{ model_type: 'gemma2', hidden_activation: 'gelu' }, /hidden_activation is "gelu", which is the exact GELU/],
    [{ model_type: 'gemma', hidden_act: 'silu' }, /hidden_act is "silu"/],
    [{ model_type: 'gemma', hidden_activation: 'gelu' }, /hidden_activation is "gelu", which is the exact GELU/],
    [{ sliding_window: null }, /slidingWindow is null/],
    [{ query_pre_attn_scalar: null }, /query_pre_attn_scalar is null/],
    [{ rope_scaling: { rope_type: 'linear' } }, /rope_scaling\.factor is missing/],
    [
      { rope_theta: 5, rope_parameters: { full_attention: { rope_theta: 6 } } },
      /another field of the same file says 5/,
    ],
    [{ rope_parameters: { rope_theta: 5 } }, /rope_parameters\.rope_theta/],
    [{ rope_parameters: { full_attention: { attention_factor: 2 } } }, /full_attention\.attention_factor/],
    [{ partial_rotary_factor: 0.5 }, /partial_rotary_factor/],
    [{ model_type: 'gemma2', rope_scaling: { type: 'linear', factor: 2 } }, /Gemma 2 with scaled positions/],
    [{ per_layer_config: { 1: { head_dim: 8 } } }, /per_layer_config/],
    [{ model_type: 'gemma3', text_config: { model_type: 'gemma3n_text' } }, /text_config\.model_type/],
    [{ model_type: 'gemma3', text_config: { use_bidirectional_attention: true } }, /causal/],
    [{ use_bidirectional_attention: true }, /causal/],
    [{ rope_scaling: { rope_type: 'yarn', factor: 2 } }, /neither default nor linear/],
    [{ eos_token_id: 'x' }, /eos_token_id/],
  ])('refuses %j', (fields, message) => {
    const read = () => gemmaConfigFromHf({ model_type: 'gemma3_text', ...fields });
    expect(read).toThrow(ConfigError);
    expect(read).toThrow(message);
  });
});

interface Case {
  readonly name: string;
  readonly config: Record<string, unknown>;
  /** What transformers computes with. */
  readonly read: {
    readonly isTanhGelu: boolean;
    readonly hasPlainRope: boolean;
    readonly isCausal: boolean;
    readonly hasBias: boolean;
    readonly layerTypes: readonly string[];
    readonly ropeLocalScalingFactor: number;
    readonly slidingWindow: number | null;
  } & Record<string, unknown>;
}

const cases = await fixtureJson<readonly Case[]>('configs/cases.json');

describe('gemmaConfigFromHf beside transformers', () => {
  it.each(cases.map((one): [string, Case] => [one.name, one]))('%s', (_, { config, read }) => {
    const { isTanhGelu, hasPlainRope, isCausal, hasBias, layerTypes, ropeLocalScalingFactor: __, ...numbers } = read;
    if (!isTanhGelu || !hasPlainRope || !isCausal || hasBias) {
      expect(() => gemmaConfigFromHf(config)).toThrow(ConfigError);
      return;
    }
    const told: string[] = [];
    const found = gemmaConfigFromHf(config, (notice) => told.push(notice));
    expect(found).toMatchObject(numbers);
    expect(found.layerTypes).toEqual(layerTypes.map((type) => (type === 'full_attention' ? 'global' : 'local')));
    expect(told).toEqual([]);
  });
});

interface RopeCase {
  readonly name: string;
  readonly config: Record<string, unknown>;
  /** By version of transformers, the newest last; null where it can make no model. */
  readonly read: Readonly<Record<string, { readonly full: Turning; readonly sliding: Turning } | null>>;
}
interface Turning {
  readonly theta: number;
  readonly factor: number;
}

const ropeCases = await fixtureJson<readonly RopeCase[]>('configs/rope.json');
/** Read as the newest transformers does; all others are refused. */
const accepted = [
  ...['nothing', 'null', 'empty', 'scaling, default', 'scaling, old default', 'scaling, default with a factor'],
  'old bases',
];
const acceptedOf: Readonly<Record<string, readonly string[]>> = {
  'gemma 1': [
    ...accepted,
    ...['scaling, rope_type', 'scaling, type', 'scaling, both names', 'scaling and base', 'both the same, flat'],
    ...['parameters, rope_type', 'parameters, type', 'parameters, base only'],
  ],
  'gemma 2': [...accepted, 'parameters, base only'],
  'gemma 3': [
    ...accepted,
    ...['scaling, rope_type', 'scaling, both names', 'scaling and base', 'both the same', 'both the same, type'],
    ...['rope_type', 'type', 'bases', 'one null'].map((name) => `parameters by layer type, ${name}`),
    'parameters beside null',
  ],
};

describe('spellings of positions beside transformers', () => {
  it.each(ropeCases.map((one): [string, RopeCase] => [one.name, one]))('%s', (title, { config, read }) => {
    const [model = '', spelling = ''] = title.split(': ');
    const newest = Object.values(read).at(-1);
    const told: string[] = [];
    const gemma = () => gemmaConfigFromHf(config, (notice) => told.push(notice));
    const isOutside = model.endsWith('said outside');
    if (!isOutside && !acceptedOf[model.replace(' with a tower', '')]?.includes(spelling)) {
      expect(gemma).toThrow(ConfigError);
      expect(gemma).toThrow(/rope_/);
      return;
    }
    const { ropeTheta, ropeLocalTheta, ropeScalingFactor } = gemma();
    expect({
      full: { theta: ropeTheta, factor: ropeScalingFactor },
      sliding: { theta: ropeLocalTheta, factor: model === 'gemma 1' ? ropeScalingFactor : 1 },
    }).toEqual(newest);
    // Where nobody reads them, that is told.
    const isUnread = isOutside || (spelling === 'old bases' && !model.startsWith('gemma 3'));
    expect(told).toEqual(isUnread ? [expect.stringMatching(/rope_.*as by transformers/)] : []);
  });

  it('has what is refused by name', () => {
    const refuse = (fields: object) => () => gemmaConfigFromHf({ model_type: 'gemma3_text', ...fields });
    expect(refuse({ rope_scaling: { type: 'linear', factor: 8 } })).toThrow(
      /rope_scaling\.type is "linear".*call the field rope_type/,
    );
    expect(refuse({ rope_scaling: { factor: 8 } })).toThrow(/rope_scaling\.factor is 8, but no rope_type/);
    expect(refuse({ rope_scaling: { rope_type: 'linear', type: 'default', factor: 8 } })).toThrow(/rope_scaling\.type/);
    expect(refuse({ rope_scaling: { full_attention: { rope_type: 'linear', factor: 8 } } })).toThrow(
      /rope_scaling\.full_attention/,
    );
    expect(refuse({ rope_scaling: { rope_type: null, factor: 8 } })).toThrow(/rope_scaling\.rope_type is null/);
    expect(refuse({ rope_theta: 5, rope_scaling: { rope_theta: 6 } })).toThrow(/rope_scaling\.rope_theta is 6/);
    expect(
      refuse({ model_type: 'gemma', rope_parameters: { full_attention: { rope_type: 'linear', factor: 8 } } }),
    ).toThrow(/rope_parameters\.full_attention/);
  });

  it.each(['gemma-2b', 'gemma-3-4b'] as const)('are written so that all ages read the same: %s scaled', (preset) => {
    const config = { ...gemmaPresets[preset], ropeScalingFactor: 4 };
    const written = gemmaConfigToHf(config);
    expect(written).toMatchObject({ rope_scaling: { rope_type: 'linear', factor: 4 } });
    expect(gemmaConfigFromHf(written)).toEqual(config);
  });
});

describe('fields that are not known', () => {
  const told = (fields: object) => {
    const notices: string[] = [];
    gemmaConfigFromHf({ model_type: 'gemma3_text', ...fields }, (notice) => notices.push(notice));
    return notices.join('\n');
  };

  it('are told by their names', () => {
    expect(told({ attn_temperature: 2, clip_qkv: 1 })).toMatch(/says attn_temperature, clip_qkv, which is not known/);
    expect(told({ attention_dropout: 0.1 })).toMatch(/attention_dropout 0\.1/);
    expect(told({ model_type: 'gemma3', text_config: { sinks: 4 }, audio_config: {} })).toMatch(
      /text_config\.sinks.*\n.*says audio_config/,
    );
    expect(told(Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`x${i}`, i])))).toMatch(/x9 and 20 more/);
  });

  it('are not those that change nothing, and not those without a value', () => {
    const harmless = { torch_dtype: 'bfloat16', use_cache: true, cache_implementation: 'hybrid', unsloth_fixed: true };
    expect(told({ ...harmless, pruned_heads: {}, something: null, attention_dropout: 0 })).toBe('');
    expect(told(gemmaConfigToHf(gemmaPresets['gemma-3-4b']))).toBe('');
  });
});
