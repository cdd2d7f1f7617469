import { describe, expect, it } from 'vitest';
import { ConfigError } from '../../config/errors.js';
import { embeddingGemmaConfigFromHf, embeddingGemmaConfigToHf } from './hf.js';
import { gatherModules, modulesOf } from './modules.js';
import { embeddingGemmaPresets } from './presets.js';
import { releasedPrompts } from './prompt.js';

const preset = embeddingGemmaPresets['embeddinggemma-300m'];
const config = embeddingGemmaConfigToHf(preset);
const files = modulesOf(preset, preset.text.hiddenSize);
const modules = files['modules.json'] as Record<string, unknown>[];

function read(changes: Readonly<Record<string, unknown>>, json: Readonly<Record<string, unknown>> = config) {
  const told: string[] = [];
  const changed = Object.entries({ ...files, ...changes }).filter(([, content]) => content !== undefined);
  return { told, config: embeddingGemmaConfigFromHf(json, (notice) => told.push(notice), Object.fromEntries(changed)) };
}
const changedIn = (file: string, fields: Readonly<Record<string, unknown>>) => ({
  [file]: { ...(files[file] as object), ...fields },
});

describe('a folder of sentence-transformers', () => {
  it.each([
    [512, 257],
    [513, 257],
    [6, 4],
    [7, 4],
    [1, 1],
  ])('says with a window of %i that tokens see those less than %i away', (inFile, window) => {
    expect(read({}, { ...config, sliding_window: inFile }).config.text.slidingWindow).toBe(window);
  });

  it('may leave out what has a default', () => {
    const without = ['config_sentence_transformers.json', 'sentence_bert_config.json'];
    const found = read(Object.fromEntries(without.map((file) => [file, undefined]))).config;
    expect(found).toEqual({ ...preset, prompts: releasedPrompts });
    expect(read(changedIn('config_sentence_transformers.json', { prompts: {} })).config.prompts).toEqual({
      query: '',
      document: '',
    });
  });

  it('says how long texts are, first in its own file, then in that of the tokenizer', () => {
    const tokenizer = { 'tokenizer_config.json': { model_max_length: 300.5 } };
    expect(read({ ...tokenizer, 'sentence_bert_config.json': undefined }).config.maxTokens).toBe(300);
    expect(read(tokenizer).config.maxTokens).toBe(2048);
    expect(read(changedIn('sentence_bert_config.json', { max_seq_length: 99999 })).config.maxTokens).toBe(2048);
  });

  it('tells of what is left out of account', () => {
    const { told } = read(
      changedIn('config_sentence_transformers.json', { default_prompt_name: 'query', similarity_fn_name: 'manhattan' }),
    );
    expect(told).toEqual([
      expect.stringMatching(/default_prompt_name "query"/) as string,
      expect.stringMatching(/similarity_fn_name "manhattan"/) as string,
    ]);
  });

  it('is gathered by the folders that it lists, and by no other', async () => {
    const asked: string[] = [];
    await gatherModules(async (file) => {
      asked.push(file);
      return file === 'modules.json' ? [...modules, { path: '../secrets' }, { path: '/etc' }, 'x', null] : undefined;
    });
    expect(asked.filter((file) => file.includes('/'))).toEqual(
      ['1_Pooling', '2_Dense', '3_Dense', '4_Normalize'].map((folder) => `${folder}/config.json`),
    );
  });

  it.each<[string, Readonly<Record<string, unknown>>, RegExp]>([
    ['none of the modules', { 'modules.json': undefined }, /modules\.json is missing, but .*a whole folder/],
    ['no list', { 'modules.json': {} }, /modules\.json is \{\}, not a list/],
    ['no head', { 'modules.json': [modules[0], modules[1]] }, /Transformer, Pooling, one Dense or more/],
    [
      'another order',
      { 'modules.json': [modules[0], modules[1], { ...modules[4], idx: 2, path: '2_Normalize' }] },
      /in this order/,
    ],
    ['another place', { 'modules.json': [{ ...modules[0], path: '0_Transformer' }] }, /modules\.json\[0\]\.path/],
    ['a module of others', { 'modules.json': [{ ...modules[0], type: 'my.Transformer' }] }, /\[0\]\.type/],
    ['arguments', { 'modules.json': [{ ...modules[0], kwargs: ['task'] }] }, /\[0\]: kwargs.*not known/],
    ['a file that is missing', { '3_Dense/config.json': undefined }, /3_Dense\/config\.json is missing.*folder whole/],
    [
      'another mean',
      changedIn('1_Pooling/config.json', { pooling_mode_mean_tokens: false, pooling_mode_lasttoken: true }),
      /pooling_mode is \["lasttoken"\]/,
    ],
    [
      'two means',
      changedIn('1_Pooling/config.json', { pooling_mode_cls_token: true }),
      /pooling_mode is \["cls_token","mean_tokens"\]/,
    ],
    [
      'today’s name of another',
      changedIn('1_Pooling/config.json', { pooling_mode: 'max' }),
      /pooling_mode is \["max"\]/,
    ],
    ['a mean without the prompt', changedIn('1_Pooling/config.json', { include_prompt: false }), /include_prompt/],
    ['another width', changedIn('1_Pooling/config.json', { word_embedding_dimension: 640 }), /hidden_size 768/],
    ['a bias', changedIn('2_Dense/config.json', { bias: true }), /2_Dense\/config\.json: bias is true/],
    ['a bias by default', changedIn('2_Dense/config.json', { bias: undefined }), /bias is missing/],
    [
      'an activation',
      changedIn('3_Dense/config.json', { activation_function: 'torch.nn.modules.activation.Tanh' }),
      /3_Dense\/config\.json: activation_function/,
    ],
    ['a sum', changedIn('2_Dense/config.json', { use_residual: true }), /use_residual/],
    ['sizes that do not meet', changedIn('3_Dense/config.json', { in_features: 3071 }), /gives 3072 values/],
    ['a size', changedIn('3_Dense/config.json', { out_features: '768' }), /out_features is "768"/],
    ['another input', changedIn('2_Dense/config.json', { module_input_name: 'token_embeddings' }), /module_input_name/],
    ['a field', changedIn('2_Dense/config.json', { gain: 2 }), /2_Dense\/config\.json: gain is 2, which is not known/],
    ['another length', { '4_Normalize/config.json': { module_input_name: 'x' } }, /4_Normalize\/config\.json/],
    ['lower case', changedIn('sentence_bert_config.json', { do_lower_case: true }), /do_lower_case/],
    ['arguments of classes', changedIn('sentence_bert_config.json', { model_args: { a: 1 } }), /model_args/],
    ['no length', changedIn('sentence_bert_config.json', { max_seq_length: 0 }), /max_seq_length is 0/],
    ['cut vectors', changedIn('config_sentence_transformers.json', { truncate_dim: 256 }), /truncate_dim is 256/],
    ['another kind', changedIn('config_sentence_transformers.json', { model_type: 'CrossEncoder' }), /CrossEncoder/],
    ['prompts', changedIn('config_sentence_transformers.json', { prompts: { query: 1 } }), /prompts/],
  ])('is refused with %s', (_, changes, message) => {
    expect(() => read(changes)).toThrow(ConfigError);
    expect(() => read(changes)).toThrow(message);
  });
});
