import { describe, expect, it } from 'vitest';
import { ConfigError } from '../../config/errors.js';
import { modulesOf } from '../embeddinggemma/modules.js';
import { checkEmbeddingGemma2Config } from './config.js';
import { embeddingGemma2ConfigFromHf, embeddingGemma2ConfigToHf } from './hf.js';
import { embeddingGemma2Presets } from './presets.js';

const preset = embeddingGemma2Presets['embeddinggemma-2'];
const files = modulesOf({ ...preset, headSizes: [] }, preset.vectorSize);
const { architectures: _class, ...text } = embeddingGemma2ConfigToHf(preset);
const towers = {
  model_type: 'embedding_gemma2',
  vision_config: { model_type: 'gemma4_vision', attention_dropout: 0, hidden_size: 768 },
  audio_config: { model_type: 'gemma4_audio' },
  boi_token_id: 255999,
  eoa_token_index: 258883,
};

function read(changes: Readonly<Record<string, unknown>>, others: Readonly<Record<string, unknown>> = {}) {
  const told: string[] = [];
  const json = { ...towers, text_config: { ...text, ...changes } };
  return { told, config: embeddingGemma2ConfigFromHf(json, (notice) => told.push(notice), { ...files, ...others }) };
}

describe('the config.json of an EmbeddingGemma 2', () => {
  it('is read whole, or of the text model alone', () => {
    expect(read({})).toEqual({ told: [], config: preset });
    expect(embeddingGemma2ConfigFromHf(text, undefined, files)).toEqual(preset);
  });

  it('may leave out what transformers assumes', () => {
    const json = { ...towers, text_config: { model_type: 'embedding_gemma2_text' } };
    expect(embeddingGemma2ConfigFromHf(json, undefined, files)).toEqual(preset);
  });

  it('says which heads are wider in either spelling, layers numbered with or without zeros', () => {
    const heads = { head_dim: 512, num_key_value_heads: 1 };
    expect(text['per_layer_config']).toEqual({ '05': heads, '11': heads, '17': heads, '23': heads });
    expect(read({ per_layer_config: { 5: heads, 11: heads, 17: heads, 23: heads } }).config).toEqual(preset);
    expect(
      read({ per_layer_config: undefined, global_head_dim: 384, num_global_key_value_heads: 2 }).config.text,
    ).toMatchObject({ globalHeadDim: 384, numGlobalKvHeads: 2, headDim: 256, numKvHeads: 2 });
    expect(() => read({ per_layer_config: { 5: heads, '05': heads } })).toThrow(/layer 5 is there twice/);
    expect(() => read({ per_layer_config: { 24: heads } })).toThrow(/numbered from 0 to 23/);
  });

  it('says how far tokens see', () => {
    expect(read({ sliding_window: 3 }).config.text.slidingWindow).toBe(4);
    expect(
      read({
        layer_types: undefined,
        per_layer_config: undefined,
        sliding_window_pattern: 4,
      }).config.text.layerTypes.indexOf('global'),
    ).toBe(3);
  });

  it('may be of other folders of sentence-transformers', () => {
    const forward = { method: 'forward', method_output_name: 'last_hidden_state' };
    const modalities = { text: forward, image: forward, audio: forward, message: { ...forward, format: 'structured' } };
    const several = { transformer_task: 'feature-extraction', modality_config: modalities, max_seq_length: 300 };
    expect(read({}, { 'sentence_bert_config.json': several }).config.maxTokens).toBe(300);
    expect(read({}, { 'config_sentence_transformers.json': undefined }).config.prompts).toEqual(preset.prompts);
  });

  it('is written in the form of its base', () => {
    const { vision_config: _vision, ...others } = towers;
    expect(
      embeddingGemma2ConfigToHf(preset, { ...towers, text_config: { ...text, dtype: 'float32', hidden: 1 } }),
    ).toEqual({
      ...others,
      vision_config: { model_type: 'gemma4_vision', hidden_size: 768 },
      text_config: { ...text, hidden: 1 },
    });
  });

  it.each<[string, unknown]>([
    ['attention_bias', true],
    ['num_kv_shared_layers', 2],
    ['attention_k_eq_v', true],
    ['use_double_wide_mlp', true],
    ['enable_moe_block', true],
    ['use_bidirectional_attention', false],
    ['use_bidirectional_attention', 'vision'],
    ['hidden_activation', 'silu'],
    ['rope_theta', 1e4],
    ['sliding_window_pattern', 0],
    ['model_type', 'gemma4_text'],
  ])('is refused with %s %j', (field, value) => {
    expect(() => read({ [field]: value })).toThrow(ConfigError);
    expect(() => read({ [field]: value })).toThrow(new RegExp(`text_config\\.${field}`));
  });

  it.each<[string, Readonly<Record<string, unknown>>, RegExp]>([
    ['layers without inputs', { hidden_size_per_layer_input: 0 }, /hiddenSizePerLayerInput/],
    ['another width', { embedding_dim: 512 }, /1_Pooling.*768, but config\.json says embedding_dim 512/],
    ['one type of layers', { layer_types: ['full_attention'], per_layer_config: {} }, /layerTypes/],
  ])('is refused with %s', (_, changes, message) => {
    expect(() => read(changes)).toThrow(message);
  });

  it('is refused without modules, and with a head of linears', () => {
    expect(() => read({}, { 'modules.json': undefined })).toThrow(/EmbeddingGemma 2.*1_Pooling/);
    const modules = files['modules.json'] as object[];
    const dense = { idx: 2, name: '2', path: '2_Dense', type: 'sentence_transformers.models.Dense' };
    expect(() => read({}, { 'modules.json': [...modules.slice(0, 2), dense] })).toThrow(/Pooling, and Normalize/);
  });
});

it('refuses in code what its config.json could not say', () => {
  const shared = { ...preset, text: { ...preset.text, numKvSharedLayers: 2 } };
  expect(() => checkEmbeddingGemma2Config(shared)).toThrow(/text\.numKvSharedLayers is 2, but it is 0/);
});
