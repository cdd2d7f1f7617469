import { ConfigError, UnknownModelError } from '../../config/errors.js';
import {
  type Fields,
  isFields,
  modelTypeOf,
  readNullable,
  readNumber,
  watchFields,
  type WatchedFields,
} from '../../config/fields.js';
import { checkActivation, type Tell, tellUnreadFields } from '../../config/hf-fields.js';
import { checkGemmaConfig, everyNthGlobal, type GemmaConfig, type LayerType } from './config.js';
import { generationOf, generations, type GemmaTraits } from './generations.js';
import { readRope } from './hf-rope.js';
import type { HfConfig } from '../layout.js';
import { isMultimodal } from './multimodal.js';

const defaultWindow = 4096;
const defaultHeadDim = 256;

/** Fields around the decoder of a multimodal Gemma 3, of which only the decoder is read. */
const multimodalFields = [
  ...['vision_config', 'mm_tokens_per_image'],
  ...['boi_token', 'eoi_token', 'image_token'].flatMap((name) => [`${name}_index`, `${name}_id`]),
];
/**
 * What PaliGemma writes into its decoder, the first Gemma 2 beside sliding_window, and Gemma 3 beside layer_types (transformers does not read
 * the name with the underscore); and the activation in the field of another generation.
 */
const decoderFields = [
  'num_image_tokens',
  'sliding_window_size',
  'sliding_window_pattern',
  '_sliding_window_pattern',
  'hidden_act',
];

/**
 * Hugging Face's config.json of a Gemma 1, 2 or 3 model as a `GemmaConfig`. Reads the spellings of every transformers
 * generation and fills in what files leave out. Of a multimodal Gemma 3, the text part. `tell` is told of fields that are not known.
 * @throws {UnknownModelError} for any other model. @throws {ConfigError} naming the field, also one that asks for what is not computed.
 */
export function gemmaConfigFromHf(json: unknown, tell?: Tell): GemmaConfig {
  if (!isFields(json)) throw new ConfigError('config.json', json, 'not an object');
  const whole = watchFields(json);
  const modelType = modelTypeOf(whole.fields);
  const traits = generationOf(modelType, ({ hf }) => hf.modelTypes);
  if (traits === undefined) {
    const supported = Object.values(generations).flatMap(({ hf }) => hf.modelTypes);
    throw new UnknownModelError(modelType, supported);
  }
  const nested = whole.fields['text_config'];
  const isNested = traits.hf.modelTypes.indexOf(modelType) > 0 && isFields(nested);
  const text = isNested ? watchFields(nested) : whole;
  if (isNested) checkModelType(text.fields, 'text_config.', traits.hf.modelTypes);
  refuseBidirectional(whole.fields, [undefined, null, false]);
  refuseBidirectional(text.fields, [undefined, null, false]);
  const config = checkGemmaConfig(
    readTextConfig(text, traits, whole.fields, { tell, where: isNested ? 'text_config.' : '' }),
  );
  if (isNested) tellUnreadFields(whole, tell, { known: multimodalFields });
  return config;
}

/** @throws ConfigError where fields of a part are said to be of another model */
export function checkModelType(fields: Fields, where: string, allowed: readonly string[]): void {
  const type = fields['model_type'];
  if (type !== undefined && !allowed.includes(type as string))
    throw new ConfigError(`${where}model_type`, type, `not ${allowed.join(' or ')}`);
}

/** @throws ConfigError where attention is to see more, or less, than it does */
export function refuseBidirectional(text: Fields, allowed: readonly unknown[]): void {
  const value = text['use_bidirectional_attention'];
  if (allowed.includes(value)) return;
  const problem = allowed.includes(true)
    ? 'but the prompt is one block in both directions'
    : 'but this is read as a causal language model, which sees only what is before a token';
  throw new ConfigError('use_bidirectional_attention', value, problem);
}

/** A decoder's fields; `outer` is the whole file where `text` is a part of it. @throws ConfigError naming the field */
export function readTextConfig(
  watched: WatchedFields,
  traits: GemmaTraits,
  outer: Fields,
  { tell, where }: { readonly tell: Tell | undefined; readonly where: string },
): GemmaConfig {
  const text = watched.fields;
  refuseUnsupported(text, traits);
  if (outer['tie_word_embeddings'] === false) throw untied();

  const { softcaps } = traits;
  const { defaults, queryPreAttnScalar } = traits.hf;
  const numLayers = readNumber(text, 'num_hidden_layers', defaults.layers);
  const headDim = readNumber(text, 'head_dim', defaultHeadDim);
  // The instruction-tuned multimodal files list their stop tokens beside text_config, not in it.
  const token = (field: string) => outer[field] ?? text[field];
  const tokenId = (field: string, usual: number) => readNumber({ [field]: token(field) ?? usual }, field, usual);
  const config: GemmaConfig = {
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
    slidingWindow: traits.hasLocalLayers ? readNullable(text, 'sliding_window', defaultWindow) : null,
    layerTypes: readLayerTypes(text, traits, numLayers),
    ...readRope(text, traits),
    padTokenId: tokenId('pad_token_id', 0),
    bosTokenId: tokenId('bos_token_id', 2),
    eosTokenIds: readTokenIds(token('eos_token_id')),
  };
  tellUnreadFields(watched, tell, { where, known: decoderFields });
  return config;
}

function untied(): ConfigError {
  return new ConfigError('tie_word_embeddings', false, 'but Gemma shares its embedding with the output projection');
}

function refuseUnsupported(text: Fields, { hf }: GemmaTraits): void {
  if (text['attention_bias'] === true)
    throw new ConfigError('attention_bias', true, 'but no Gemma has attention biases');
  if (text['tie_word_embeddings'] === false) throw untied();
  checkActivation(text, 'hidden_activation');
  // Gemma 1's first files say "gelu" in the old field where the tanh approximation is meant: transformers reads it so.
  if (hf.hasOldActivationField && text['hidden_act'] === 'gelu') return;
  // Of later generations transformers does not read the old field: it counts only where it is the one that is there.
  if (hf.hasOldActivationField || (text['hidden_activation'] ?? null) === null) checkActivation(text, 'hidden_act');
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
  return everyNthGlobal(numLayers, readNumber(text, 'sliding_window_pattern', layerPeriod));
}

/** Ids that end a text; none is said to be 1. @throws ConfigError */
export function readTokenIds(value: unknown): number[] {
  const ids = Array.isArray(value) ? value : [value ?? 1];
  if (ids.length === 0 || !ids.every((id) => Number.isSafeInteger(id) && id >= 0)) {
    throw new ConfigError('eos_token_id', value, 'neither a token id nor a list of them');
  }
  return ids;
}

/**
 * The config.json of a text model, in the spellings of old and new transformers alike. Where `base` is that of a multimodal model, the
 * whole of it, with this as its text part.
 */
export function gemmaConfigToHf(config: GemmaConfig, base?: HfConfig): Record<string, unknown> {
  const text = textConfigToHf(config);
  if (base === undefined || !isMultimodal(generations[config.family], config.numLayers, base)) return text;
  const { architectures: _, ...fields } = text;
  const before = isFields(base['text_config']) ? base['text_config'] : {};
  const { dtype: _type, torch_dtype: _oldType, ...others } = before;
  return { ...base, eos_token_id: text['eos_token_id'], text_config: { ...others, ...fields } };
}

function textConfigToHf(config: GemmaConfig): Record<string, unknown> {
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
      // transformers wants a window: where there is none, one as long as any text.
      sliding_window: config.slidingWindow ?? config.maxPositionEmbeddings,
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
      : { ...(scaling && { rope_scaling: scaling }), rope_parameters: rope }),
    pad_token_id: config.padTokenId,
    bos_token_id: config.bosTokenId,
    eos_token_id: config.eosTokenIds.length === 1 ? onlyEos : [...config.eosTokenIds],
  };
}
