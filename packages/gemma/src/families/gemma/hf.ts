import { ConfigError, UnknownModelError } from '../../config/errors.js';
import { type Fields, isFields, modelTypeOf, readNullable, readNumber } from '../../config/fields.js';
import { checkGemmaConfig, everyNthGlobal, type GemmaConfig, type LayerType } from './config.js';
import { generationOf, generations, type GemmaTraits } from './generations.js';

const defaultWindow = 4096;
const defaultHeadDim = 256;

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
  const traits = generationOf(modelType, ({ hf }) => hf.modelTypes);
  if (traits === undefined) {
    const supported = Object.values(generations).flatMap(({ hf }) => hf.modelTypes);
    throw new UnknownModelError(modelType, supported);
  }
  return readTextConfig(text, traits, json);
}

/** A decoder's fields; `outer` is the whole file where `text` is a part of it. @throws ConfigError naming the field */
export function readTextConfig(text: Fields, traits: GemmaTraits, outer: Fields): GemmaConfig {
  refuseUnsupported(text);
  if (outer['tie_word_embeddings'] === false) throw untied();

  const { softcaps } = traits;
  const { defaults, queryPreAttnScalar } = traits.hf;
  const numLayers = readNumber(text, 'num_hidden_layers', defaults.layers);
  const headDim = readNumber(text, 'head_dim', defaultHeadDim);
  // The instruction-tuned multimodal files list their stop tokens beside text_config, not in it.
  const token = (field: string) => outer[field] ?? text[field];
  return checkGemmaConfig({
    family: traits.family,
    vocabSize: readNumber(text, 'vocab_size', defaults.vocab),
    hiddenSize: readNumber(text, 'hidden_size', defaults.d),
    intermediateSize: readNumber(text, 'intermediate_size', defaults.f),
    numLayers,
    numHeads: readNumber(text, 'num_attention_heads', defaults.heads),
    numKvHeads: readNumber(text, 'num_key_value_heads', defaults.kvHeads),
    headDim,
    rmsNormEps: readNumber(text, 'rms_norm_eps', 1e-6),
    maxPositionEmbeddings: readNumber(text, 'max_position_embeddings', defaults.positions),
    queryPreAttnScalar:
      queryPreAttnScalar === null ? headDim : readNumber(text, 'query_pre_attn_scalar', queryPreAttnScalar),
    attnLogitSoftcap: softcaps && readNullable(text, 'attn_logit_softcapping', softcaps.attention),
    finalLogitSoftcap: softcaps && readNullable(text, 'final_logit_softcapping', softcaps.final),
    slidingWindow: traits.hasLocalLayers ? readNumber(text, 'sliding_window', defaultWindow) : null,
    layerTypes: readLayerTypes(text, traits, numLayers),
    ...readRope(text, traits),
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
  if (
    activation !== undefined &&
    activation !== null &&
    !(typeof activation === 'string' && activation.startsWith('gelu'))
  ) {
    throw new ConfigError('hidden_activation', activation, 'but Gemma uses gelu_pytorch_tanh');
  }
}

function readLayerTypes(
  text: Fields,
  { hasLocalLayers, layerPeriod, hf }: GemmaTraits,
  numLayers: number,
): LayerType[] {
  const listed = text['layer_types'];
  if (hasLocalLayers && listed !== undefined && listed !== null) {
    if (!Array.isArray(listed)) throw new ConfigError('layer_types', listed, 'not a list');
    return listed.map((type, i) => {
      if (type === 'full_attention') return 'global';
      if (type === 'sliding_attention') return 'local';
      throw new ConfigError(`layer_types[${i}]`, type, 'neither full_attention nor sliding_attention');
    });
  }
  if (!hf.hasPatternField) return everyNthGlobal(numLayers, layerPeriod);
  const period = readNumber(text, '_sliding_window_pattern', layerPeriod);
  return everyNthGlobal(numLayers, readNumber(text, 'sliding_window_pattern', period));
}

/** Old files: rope_theta, rope_local_base_freq, rope_scaling. New ones: rope_parameters, by layer type where types turn differently. */
function readRope(text: Fields, { name, theta, localTheta, hasLocalLayers }: GemmaTraits) {
  const parameters = isFields(text['rope_parameters']) ? text['rope_parameters'] : {};
  const full = isFields(parameters['full_attention']) ? parameters['full_attention'] : parameters;
  const sliding = isFields(parameters['sliding_attention']) ? parameters['sliding_attention'] : {};
  const oldScaling = isFields(text['rope_scaling']) ? text['rope_scaling'] : undefined;
  const oldFull = isFields(oldScaling?.['full_attention']) ? oldScaling['full_attention'] : oldScaling;
  const ropeTheta = readNumber(full, 'rope_theta', readNumber(text, 'rope_theta', theta));
  const ropeScalingFactor = readScaling(full['rope_type'] === undefined && oldFull ? oldFull : full);
  if (localTheta === null) {
    if (hasLocalLayers && ropeScalingFactor !== 1)
      throw new ConfigError('rope_scaling', full, `but ${name} with scaled positions is not supported`);
    return { ropeTheta, ropeLocalTheta: ropeTheta, ropeScalingFactor };
  }
  if (readScaling(sliding) !== 1)
    throw new ConfigError('rope_parameters.sliding_attention', sliding, 'but local layers use unscaled positions');
  const ropeLocalTheta = readNumber(sliding, 'rope_theta', readNumber(text, 'rope_local_base_freq', localTheta));
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

/** The config.json of a text model, in the spellings of old and new transformers alike. */
export function gemmaConfigToHf(config: GemmaConfig): Record<string, unknown> {
  const { hf, hasLocalLayers, softcaps, localTheta } = generations[config.family];
  const scaling = config.ropeScalingFactor === 1 ? null : { rope_type: 'linear', factor: config.ropeScalingFactor };
  const rope = { rope_theta: config.ropeTheta, ...(scaling ?? { rope_type: 'default' }) };
  const [onlyEos] = config.eosTokenIds;
  return {
    architectures: [hf.architecture],
    model_type: hf.modelTypes[0],
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
    ...(hf.hasOldActivationField && { hidden_act: 'gelu_pytorch_tanh' }),
    attention_bias: false,
    attention_dropout: 0,
    tie_word_embeddings: true,
    ...(hf.queryPreAttnScalar !== null && { query_pre_attn_scalar: config.queryPreAttnScalar }),
    ...(softcaps && {
      attn_logit_softcapping: config.attnLogitSoftcap,
      final_logit_softcapping: config.finalLogitSoftcap,
    }),
    ...(hasLocalLayers && {
      sliding_window: config.slidingWindow,
      layer_types: config.layerTypes.map((layer) => (layer === 'global' ? 'full_attention' : 'sliding_attention')),
    }),
    rope_theta: config.ropeTheta,
    ...(localTheta !== null
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
