import type { GemmaConfig, GemmaFamily, LayerType } from './gemma-config.js';
import { ConfigError, UnknownModelError } from './errors.js';
import { checkConfig, everyNthGlobal, type Fields, isFields, readNullable, readNumber } from './fields.js';

const families: Readonly<Record<string, GemmaFamily>> = {
  gemma: 'gemma1',
  gemma2: 'gemma2',
  gemma3_text: 'gemma3',
  gemma3: 'gemma3',
};

/** What transformers assumes for a field that config.json leaves out. */
const defaults = {
  gemma1: { vocab: 256000, d: 3072, f: 24576, layers: 28, heads: 16, kvHeads: 16, positions: 8192, theta: 1e4 },
  gemma2: { vocab: 256000, d: 2304, f: 9216, layers: 26, heads: 8, kvHeads: 4, positions: 8192, theta: 1e4 },
  gemma3: { vocab: 262208, d: 2304, f: 9216, layers: 26, heads: 8, kvHeads: 4, positions: 131072, theta: 1e6 },
} as const;
const defaultWindow = 4096;
const defaultHeadDim = 256;
const layerPeriod = { gemma1: 1, gemma2: 2, gemma3: 6 } as const;

/**
 * Hugging Face's config.json of a Gemma 1, 2 or 3 model as a `GemmaConfig`. Reads the spellings of every transformers
 * generation and fills in what files leave out. Of a multimodal Gemma 3, the text part.
 * @throws {UnknownModelError} for any other model. @throws {ConfigError} naming the field.
 */
export function gemmaConfigFromHf(json: unknown): GemmaConfig {
  if (!isFields(json)) throw new ConfigError('config.json', json, 'not an object');
  const modelType = modelTypeOf(json);
  const nested = json['text_config'];
  const text: Fields = modelType === 'gemma3' && isFields(nested) ? nested : json;
  if (text['use_bidirectional_attention'] === true) {
    throw new ConfigError('use_bidirectional_attention', true, 'but only causal language models are supported');
  }
  return readTextConfig(text, familyOf(modelType), json);
}

/** What a config.json calls its model. */
export function modelTypeOf(json: Fields): string {
  return typeof json['model_type'] === 'string' ? json['model_type'] : '(no model_type)';
}

function familyOf(modelType: string): GemmaFamily {
  const family = Object.hasOwn(families, modelType) ? families[modelType] : undefined;
  if (family === undefined) throw new UnknownModelError(modelType, Object.keys(families));
  return family;
}

/** A decoder's fields; `outer` is the whole file where `text` is a part of it. */
export function readTextConfig(text: Fields, family: GemmaFamily, outer: Fields): GemmaConfig {
  refuseUnsupported(text);
  if (outer['tie_word_embeddings'] === false) throw untied();

  const standard = defaults[family];
  const numLayers = readNumber(text, 'num_hidden_layers', standard.layers);
  const headDim = readNumber(text, 'head_dim', defaultHeadDim);
  const isGemma2 = family === 'gemma2';
  // The instruction-tuned multimodal files list their stop tokens beside text_config, not in it.
  const token = (field: string) => outer[field] ?? text[field];
  return checkConfig({
    family,
    vocabSize: readNumber(text, 'vocab_size', standard.vocab),
    hiddenSize: readNumber(text, 'hidden_size', standard.d),
    intermediateSize: readNumber(text, 'intermediate_size', standard.f),
    numLayers,
    numHeads: readNumber(text, 'num_attention_heads', standard.heads),
    numKvHeads: readNumber(text, 'num_key_value_heads', standard.kvHeads),
    headDim,
    rmsNormEps: readNumber(text, 'rms_norm_eps', 1e-6),
    maxPositionEmbeddings: readNumber(text, 'max_position_embeddings', standard.positions),
    queryPreAttnScalar: family === 'gemma1' ? headDim : readNumber(text, 'query_pre_attn_scalar', 256),
    attnLogitSoftcap: family === 'gemma1' ? null : readNullable(text, 'attn_logit_softcapping', isGemma2 ? 50 : null),
    finalLogitSoftcap: family === 'gemma1' ? null : readNullable(text, 'final_logit_softcapping', isGemma2 ? 30 : null),
    slidingWindow: family === 'gemma1' ? null : readNumber(text, 'sliding_window', defaultWindow),
    layerTypes: readLayerTypes(text, family, numLayers),
    ...readRope(text, family, standard.theta),
    padTokenId: readNumber({ id: token('pad_token_id') }, 'id', 0),
    bosTokenId: readNumber({ id: token('bos_token_id') }, 'id', 2),
    eosTokenIds: readTokenIds(token('eos_token_id')),
  });
}

function untied(): ConfigError {
  return new ConfigError('tie_word_embeddings', false, 'but Gemma shares its embedding with the output projection');
}

function refuseUnsupported(text: Fields): void {
  if (text['attention_bias'] === true)
    throw new ConfigError('attention_bias', true, 'but no Gemma has attention biases');
  if (text['tie_word_embeddings'] === false) throw untied();
  // Gemma 1 files say "gelu" where tanh-GELU is meant: transformers reads it so.
  const activation = text['hidden_activation'] ?? text['hidden_act'];
  if (activation !== undefined && activation !== null && !String(activation).startsWith('gelu')) {
    throw new ConfigError('hidden_activation', activation, 'but Gemma uses gelu_pytorch_tanh');
  }
}

function readLayerTypes(text: Fields, family: GemmaFamily, numLayers: number): LayerType[] {
  const listed = text['layer_types'];
  if (family !== 'gemma1' && listed !== undefined && listed !== null) {
    if (!Array.isArray(listed)) throw new ConfigError('layer_types', listed, 'not a list');
    return listed.map((type, i) => {
      if (type === 'full_attention') return 'global';
      if (type === 'sliding_attention') return 'local';
      throw new ConfigError(`layer_types[${i}]`, type, 'neither full_attention nor sliding_attention');
    });
  }
  if (family !== 'gemma3') return everyNthGlobal(numLayers, layerPeriod[family]);
  const period = readNumber(text, '_sliding_window_pattern', layerPeriod.gemma3);
  return everyNthGlobal(numLayers, readNumber(text, 'sliding_window_pattern', period));
}

/** Old files: rope_theta, rope_local_base_freq, rope_scaling. New ones: rope_parameters, for Gemma 3 by layer type. */
function readRope(text: Fields, family: GemmaFamily, standardTheta: number) {
  const parameters = isFields(text['rope_parameters']) ? text['rope_parameters'] : {};
  const full = isFields(parameters['full_attention']) ? parameters['full_attention'] : parameters;
  const sliding = isFields(parameters['sliding_attention']) ? parameters['sliding_attention'] : {};
  const oldScaling = isFields(text['rope_scaling']) ? text['rope_scaling'] : undefined;
  const oldFull = isFields(oldScaling?.['full_attention']) ? oldScaling['full_attention'] : oldScaling;
  const ropeTheta = readNumber(full, 'rope_theta', readNumber(text, 'rope_theta', standardTheta));
  const ropeScalingFactor = readScaling(full['rope_type'] === undefined && oldFull ? oldFull : full);
  if (family !== 'gemma3') {
    if (family === 'gemma2' && ropeScalingFactor !== 1) {
      throw new ConfigError('rope_scaling', full, 'but Gemma 2 with scaled positions is not supported');
    }
    return { ropeTheta, ropeLocalTheta: ropeTheta, ropeScalingFactor };
  }
  if (readScaling(sliding) !== 1) {
    throw new ConfigError('rope_parameters.sliding_attention', sliding, 'but local layers use unscaled positions');
  }
  const ropeLocalTheta = readNumber(sliding, 'rope_theta', readNumber(text, 'rope_local_base_freq', 1e4));
  return { ropeTheta, ropeLocalTheta, ropeScalingFactor };
}

function readScaling(rope: Fields): number {
  const type = rope['rope_type'] ?? rope['type'] ?? 'default';
  if (type === 'default') return 1;
  if (type === 'linear') return readNumber(rope, 'factor', 1);
  throw new ConfigError('rope_type', type, 'neither default nor linear');
}

function readTokenIds(value: unknown): number[] {
  const ids = Array.isArray(value) ? value : [value ?? 1];
  if (ids.length === 0 || !ids.every((id) => Number.isSafeInteger(id) && id >= 0)) {
    throw new ConfigError('eos_token_id', value, 'neither a token id nor a list of them');
  }
  return ids;
}

const modelTypes = {
  gemma1: { type: 'gemma', architecture: 'GemmaForCausalLM' },
  gemma2: { type: 'gemma2', architecture: 'Gemma2ForCausalLM' },
  gemma3: { type: 'gemma3_text', architecture: 'Gemma3ForCausalLM' },
} as const;

/** The config.json of a text model, in the spellings of old and new transformers alike. */
export function gemmaConfigToHf(config: GemmaConfig): Record<string, unknown> {
  const { family } = config;
  const { type, architecture } = modelTypes[family];
  const scaling = config.ropeScalingFactor === 1 ? null : { rope_type: 'linear', factor: config.ropeScalingFactor };
  const rope = { rope_theta: config.ropeTheta, ...(scaling ?? { rope_type: 'default' }) };
  const [onlyEos] = config.eosTokenIds;
  return {
    architectures: [architecture],
    model_type: type,
    vocab_size: config.vocabSize,
    hidden_size: config.hiddenSize,
    intermediate_size: config.intermediateSize,
    num_hidden_layers: config.numLayers,
    num_attention_heads: config.numHeads,
    num_key_value_heads: config.numKvHeads,
    head_dim: config.headDim,
    rms_norm_eps: config.rmsNormEps,
    max_position_embeddings: config.maxPositionEmbeddings,
    hidden_activation: 'gelu_pytorch_tanh',
    ...(family === 'gemma1' && { hidden_act: 'gelu_pytorch_tanh' }),
    attention_bias: false,
    attention_dropout: 0,
    tie_word_embeddings: true,
    ...(family !== 'gemma1' && {
      query_pre_attn_scalar: config.queryPreAttnScalar,
      attn_logit_softcapping: config.attnLogitSoftcap,
      final_logit_softcapping: config.finalLogitSoftcap,
      sliding_window: config.slidingWindow,
      layer_types: config.layerTypes.map((layer) => (layer === 'global' ? 'full_attention' : 'sliding_attention')),
    }),
    rope_theta: config.ropeTheta,
    ...(family === 'gemma3'
      ? {
          rope_local_base_freq: config.ropeLocalTheta,
          rope_scaling: scaling,
          rope_parameters: {
            full_attention: rope,
            sliding_attention: { rope_type: 'default', rope_theta: config.ropeLocalTheta },
          },
        }
      : { rope_parameters: rope }),
    pad_token_id: config.padTokenId,
    bos_token_id: config.bosTokenId,
    eos_token_id: config.eosTokenIds.length === 1 ? onlyEos : [...config.eosTokenIds],
  };
}
