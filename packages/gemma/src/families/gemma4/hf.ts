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
import type { LayerType } from '../gemma/config.js';
import { everyNthGlobal } from '../gemma/config.js';
import { checkModelType, readTokenIds } from '../gemma/hf.js';
import type { HfConfig } from '../layout.js';
import { checkGemma4Config, type Gemma4Config } from './config.js';

/** Text models, and the forms with encoders of pictures and sounds, or without (12B), whose text part is read. */
export const modelTypes = ['gemma4_text', 'gemma4', 'gemma4_unified_text', 'gemma4_unified'] as const;
const textTypes: readonly string[] = ['gemma4_text', 'gemma4_unified_text'];

/** What transformers assumes for a field that config.json leaves out (Gemma4TextConfig, Gemma4UnifiedTextConfig). */
const defaults = {
  gemma4: { d: 2304, f: 9216, layers: 30, heads: 8, kvHeads: 4, window: 512, positions: 131072, perLayer: 256 },
  unified: { d: 2304, f: 9216, layers: 30, heads: 8, kvHeads: 4, window: 1024, positions: 262144, perLayer: 0 },
} as const;
export const defaultVocab = 262144;
const defaultHeadDim = 256;
const defaultGlobalHeadDim = 512;
export const defaultPeriod = 6;
const defaultRope = {
  full_attention: { rope_type: 'proportional', partial_rotary_factor: 0.25, rope_theta: 1e6 },
  sliding_attention: { rope_type: 'default', rope_theta: 1e4 },
} as const;

/** Fields around the decoder, of which only the decoder is read. */
export const outerFields = [
  ...['vision_config', 'audio_config', 'vision_soft_tokens_per_image'],
  ...['boi', 'eoi', 'image', 'video', 'boa', 'eoa', 'audio'].flatMap((name) => [
    `${name}_token_id`,
    `${name}_token_index`,
  ]),
];
/** Fields that count only where others are true: `enable_moe_block`, `attention_k_eq_v`. */
const dependentFields = [
  'num_global_key_value_heads',
  'num_experts',
  'top_k_experts',
  'moe_intermediate_size',
  'expert_intermediate_size',
];

/**
 * Hugging Face's config.json of a Gemma 4 as a `Gemma4Config`, in the spelling of the hub's files (`global_head_dim`) or in that of
 * transformers since 5.6 (`per_layer_config`). Of a model with further parts, the text part. `tell` is told of fields that are not known.
 * @throws {UnknownModelError} for any other model. @throws {ConfigError} naming the field, also one that asks for what is not computed.
 */
export function gemma4ConfigFromHf(json: unknown, tell?: Tell): Gemma4Config {
  if (!isFields(json)) throw new ConfigError('config.json', json, 'not an object');
  const whole = watchFields(json);
  const modelType = modelTypeOf(whole.fields);
  if (!modelTypes.some((type) => type === modelType)) throw new UnknownModelError(modelType, modelTypes);
  if (textTypes.includes(modelType)) return readText(whole, whole.fields, { tell, where: '' });
  const nested = whole.fields['text_config'];
  if (!isFields(nested)) throw new ConfigError('text_config', nested, 'not an object; it says which decoder there is');
  checkModelType(nested, 'text_config.', textTypes);
  const config = readText(watchFields(nested), whole.fields, { tell, where: 'text_config.' });
  tellUnreadFields(whole, tell, { known: outerFields });
  return config;
}

function readText(
  watched: WatchedFields,
  outer: Fields,
  { tell, where }: { readonly tell: Tell | undefined; readonly where: string },
): Gemma4Config {
  const text = watched.fields;
  refuseUnsupported(text, outer, where);
  const usual = defaults[modelTypeOf(outer).startsWith('gemma4_unified') ? 'unified' : 'gemma4'];
  const numLayers = readNumber(text, 'num_hidden_layers', usual.layers);
  const layerTypes = readLayerTypes(text, everyNthGlobal(numLayers, defaultPeriod), where);
  const attentionKEqV = readFlag(text, 'attention_k_eq_v', where);
  const vocabSize = readNumber(text, 'vocab_size', defaultVocab);
  // The instruction-tuned files list their stop tokens beside text_config, not in it.
  const token = (field: string) => outer[field] ?? text[field];
  const tokenId = (field: string, fallback: number) =>
    readNumber({ [field]: token(field) ?? fallback }, field, fallback);
  const config: Gemma4Config = {
    family: 'gemma4',
    vocabSize,
    hiddenSize: readNumber(text, 'hidden_size', usual.d),
    intermediateSize: readNumber(text, 'intermediate_size', usual.f),
    useDoubleWideMlp: readFlag(text, 'use_double_wide_mlp', where),
    numLayers,
    numHeads: readNumber(text, 'num_attention_heads', usual.heads),
    ...readHeads(text, {
      layerTypes,
      where,
      kvHeads: usual.kvHeads,
      globalKvHeads: attentionKEqV ? readNullable(text, 'num_global_key_value_heads', null) : null,
    }),
    attentionKEqV,
    numKvSharedLayers: readNumber(text, 'num_kv_shared_layers', 0),
    hiddenSizePerLayerInput: readNullable(text, 'hidden_size_per_layer_input', usual.perLayer) ?? 0,
    vocabSizePerLayerInput: readNumber(text, 'vocab_size_per_layer_input', defaultVocab),
    rmsNormEps: readNumber(text, 'rms_norm_eps', 1e-6),
    maxPositionEmbeddings: readNumber(text, 'max_position_embeddings', usual.positions),
    finalLogitSoftcap: readNullable(text, 'final_logit_softcapping', null),
    slidingWindow: readNumber(text, 'sliding_window', usual.window),
    layerTypes,
    ...readRope(text, where, defaultRope),
    padTokenId: tokenId('pad_token_id', 0),
    bosTokenId: tokenId('bos_token_id', 2),
    eosTokenIds: readTokenIds(token('eos_token_id')),
  };
  tellUnreadFields(watched, tell, { where, known: dependentFields });
  return checkGemma4Config(config);
}

function refuseUnsupported(text: Fields, outer: Fields, where: string): void {
  if (text['attention_bias'] === true)
    throw new ConfigError(`${where}attention_bias`, true, 'but no Gemma has attention biases');
  if (text['enable_moe_block'] === true)
    throw new ConfigError(`${where}enable_moe_block`, true, 'but mixtures of experts are not computed here');
  for (const fields of [text, outer])
    if (fields['tie_word_embeddings'] === false)
      throw new ConfigError('tie_word_embeddings', false, 'but Gemma shares its embedding with the output projection');
  // "vision": tokens of one picture see each other; texts alone are the same.
  const bidirectional = text['use_bidirectional_attention'];
  if (![undefined, null, false, 'vision'].includes(bidirectional as never))
    throw new ConfigError(
      `${where}use_bidirectional_attention`,
      bidirectional,
      'but this is read as a causal language model, which sees only what is before a token',
    );
  checkActivation(text, 'hidden_activation', where);
}

function readFlag(fields: Fields, field: string, where: string): boolean {
  const value = fields[field] ?? false;
  if (typeof value !== 'boolean') throw new ConfigError(where + field, value, 'neither true nor false');
  return value;
}

/** The last layer sees everything whatever files say, as in transformers. `usual`: of files that say nothing. */
export function readLayerTypes(text: Fields, usual: readonly LayerType[], where: string): LayerType[] {
  const listed = text['layer_types'];
  if (listed === undefined || listed === null) return endingGlobal(usual);
  if (!Array.isArray(listed)) throw new ConfigError(`${where}layer_types`, listed, 'not a list');
  return endingGlobal(
    listed.map((type, i) => {
      if (type === 'full_attention') return 'global';
      if (type === 'sliding_attention') return 'local';
      throw new ConfigError(`${where}layer_types[${i}]`, type, 'neither full_attention nor sliding_attention');
    }),
  );
}

const endingGlobal = (types: readonly LayerType[]): LayerType[] =>
  types.map((type, i) => (i === types.length - 1 ? 'global' : type));

/** How heads of a layer may differ from those of others. */
const headFields = ['head_dim', 'num_key_value_heads'] as const;

/**
 * Sizes of heads, and how many keys and values have: of local layers, and of global ones. `kvHeads`: of files that say nothing;
 * `globalKvHeads`: of the global layers of files without `per_layer_config`, null where they have as many.
 */
export function readHeads(
  text: Fields,
  {
    layerTypes,
    where,
    kvHeads,
    globalKvHeads,
  }: {
    readonly layerTypes: readonly LayerType[];
    readonly where: string;
    readonly kvHeads: number;
    readonly globalKvHeads: number | null;
  },
): Pick<Gemma4Config, 'headDim' | 'globalHeadDim' | 'numKvHeads' | 'numGlobalKvHeads'> {
  const headDim = readNumber(text, 'head_dim', defaultHeadDim);
  const numKvHeads = readNumber(text, 'num_key_value_heads', kvHeads);
  const perLayer = text['per_layer_config'];
  if (perLayer === undefined || perLayer === null) {
    return {
      headDim,
      numKvHeads,
      globalHeadDim: readNumber(text, 'global_head_dim', defaultGlobalHeadDim),
      numGlobalKvHeads: globalKvHeads ?? numKvHeads,
    };
  }
  const field = `${where}per_layer_config`;
  if (!isFields(perLayer)) throw new ConfigError(field, perLayer, 'not an object');
  for (const old of ['global_head_dim', 'num_global_key_value_heads'])
    if ((text[old] ?? null) !== null)
      throw new ConfigError(
        where + old,
        text[old],
        'but per_layer_config says it too, and transformers reads only that',
      );
  const ofLayer = byLayer(perLayer, field, layerTypes.length);
  const [local, global] = (['local', 'global'] as const).map((type) =>
    sameInAll(ofLayer, field, layerTypes, type, { head_dim: headDim, num_key_value_heads: numKvHeads }),
  ) as [Heads, Heads];
  return {
    headDim: local.head_dim,
    numKvHeads: local.num_key_value_heads,
    globalHeadDim: global.head_dim,
    numGlobalKvHeads: global.num_key_value_heads,
  };
}

/** What is said of each layer by its number. transformers writes them with as many digits as the last one has: "05". */
function byLayer(perLayer: Fields, field: string, numLayers: number): ReadonlyMap<number, unknown> {
  const found = new Map<number, unknown>();
  for (const [key, own] of Object.entries(perLayer)) {
    const layer = Number(key);
    if (!/^\d+$/.test(key) || layer >= numLayers)
      throw new ConfigError(`${field}.${key}`, own, `but layers are numbered from 0 to ${numLayers - 1}`);
    if (found.has(layer)) throw new ConfigError(`${field}.${key}`, own, `but layer ${layer} is there twice`);
    found.set(layer, own);
  }
  return found;
}

type Heads = Readonly<Record<(typeof headFields)[number], number>>;

/** What `per_layer_config` makes of the heads of all layers of a type. */
function sameInAll(
  ofLayer: ReadonlyMap<number, unknown>,
  field: string,
  layerTypes: readonly LayerType[],
  type: LayerType,
  usual: Heads,
): Heads {
  let found: Heads | undefined;
  layerTypes.forEach((each, i) => {
    if (each !== type) return;
    const own = ofLayer.get(i) ?? {};
    if (!isFields(own)) throw new ConfigError(`${field}.${i}`, own, 'not an object');
    for (const key of Object.keys(own))
      if (!headFields.some((known) => known === key) && own[key] !== null)
        throw new ConfigError(`${field}.${i}.${key}`, own[key], 'but only heads may differ between layers');
    const heads: Heads = {
      head_dim: readNumber(own, 'head_dim', usual.head_dim),
      num_key_value_heads: readNumber(own, 'num_key_value_heads', usual.num_key_value_heads),
    };
    for (const name of headFields)
      if (found !== undefined && found[name] !== heads[name])
        throw new ConfigError(
          `${field}.${i}.${name}`,
          heads[name],
          `but the ${type} layers before it have ${found[name]}`,
        );
    found ??= heads;
  });
  return found ?? usual;
}

/** How positions turn heads of both types of layers. `usual`: of files that say nothing. */
export function readRope(
  text: Fields,
  where: string,
  usual: Fields,
): Pick<Gemma4Config, 'ropeTheta' | 'ropeLocalTheta' | 'partialRotaryFactor'> {
  for (const old of ['rope_theta', 'rope_local_base_freq', 'rope_scaling', 'partial_rotary_factor'])
    if ((text[old] ?? null) !== null)
      throw new ConfigError(where + old, text[old], 'but rope_parameters says how positions turn');
  const parameters = text['rope_parameters'] ?? usual;
  const field = `${where}rope_parameters`;
  if (!isFields(parameters)) throw new ConfigError(field, parameters, 'not an object');
  for (const key of Object.keys(parameters))
    if (!(key in defaultRope))
      throw new ConfigError(`${field}.${key}`, parameters[key], 'but full_attention and sliding_attention are wanted');
  const { full_attention: global, sliding_attention: local } = parameters;
  const turns = {
    global: readTurns(global, `${field}.full_attention`),
    local: readTurns(local, `${field}.sliding_attention`),
  };
  if (turns.local.share !== 1)
    throw new ConfigError(
      `${field}.sliding_attention.partial_rotary_factor`,
      turns.local.share,
      'but all pairs of a local layer turn',
    );
  return { ropeTheta: turns.global.theta, ropeLocalTheta: turns.local.theta, partialRotaryFactor: turns.global.share };
}

function readTurns(rope: unknown, where: string): { readonly theta: number; readonly share: number } {
  if (!isFields(rope)) throw new ConfigError(where, rope, 'not an object');
  const { rope_type: type = rope['type'] ?? 'default', factor, partial_rotary_factor: share } = rope;
  if (type !== 'default' && type !== 'proportional')
    throw new ConfigError(`${where}.rope_type`, type, 'neither default nor proportional');
  if (![undefined, null, 1].includes(factor as never))
    throw new ConfigError(`${where}.factor`, factor, 'but positions are not scaled');
  // transformers turns all pairs then, whatever share is said.
  if (type === 'default' && ![undefined, null, 1].includes(share as never))
    throw new ConfigError(`${where}.partial_rotary_factor`, share, 'but rope_type default turns all pairs');
  for (const [key, value] of Object.entries(rope))
    if (!['rope_type', 'type', 'rope_theta', 'factor', 'partial_rotary_factor'].includes(key) && value !== null)
      throw new ConfigError(`${where}.${key}`, value, 'but what it says of positions is not supported');
  if (rope['rope_theta'] === undefined)
    throw new ConfigError(`${where}.rope_theta`, undefined, 'but it is the base of the rotation');
  return { theta: readNumber(rope, 'rope_theta', 0), share: readNumber(rope, 'partial_rotary_factor', 1) };
}

/** Whether Python opens a text model as part of a larger class: as the base's config.json says. */
export function isPartOf(base: HfConfig | undefined): boolean {
  return base !== undefined && isFields(base['text_config']) && !textTypes.includes(modelTypeOf(base));
}

/**
 * The config.json of a text model, in the spellings of old and new transformers alike. Where `base` is that of a model with further parts,
 * the whole of it, with this as its text part.
 */
export function gemma4ConfigToHf(config: Gemma4Config, base?: HfConfig): Record<string, unknown> {
  const text = textToHf(config);
  if (base === undefined || !isPartOf(base)) {
    const isUnified = base !== undefined && modelTypeOf(base) === 'gemma4_unified_text';
    return isUnified
      ? { ...text, architectures: ['Gemma4UnifiedForCausalLM'], model_type: 'gemma4_unified_text' }
      : text;
  }
  const { architectures: _, model_type: _type, ...fields } = text;
  const before = isFields(base['text_config']) ? base['text_config'] : {};
  const { dtype: _dtype, torch_dtype: _oldType, per_layer_config: _heads, ...others } = before;
  return { ...withTowers(base), eos_token_id: text['eos_token_id'], text_config: { ...others, ...fields } };
}

/**
 * The config.json of a model with towers, as it is to be written again. The tower of pictures takes no integer as attention_dropout, as which
 * 0.0 is written here: it is left out, which means 0.
 */
export function withTowers(base: HfConfig): HfConfig {
  const { vision_config: vision } = base;
  if (!isFields(vision) || vision['attention_dropout'] !== 0) return base;
  const { attention_dropout: _none, ...others } = vision;
  return { ...base, vision_config: others };
}

function textToHf(config: Gemma4Config): Record<string, unknown> {
  const [onlyEos] = config.eosTokenIds;
  return {
    architectures: ['Gemma4ForCausalLM'],
    model_type: 'gemma4_text',
    vocab_size: config.vocabSize,
    hidden_size: config.hiddenSize,
    intermediate_size: config.intermediateSize,
    num_hidden_layers: config.numLayers,
    num_attention_heads: config.numHeads,
    num_key_value_heads: config.numKvHeads,
    head_dim: config.headDim,
    // All versions read these; since 5.6 transformers writes them as per_layer_config.
    global_head_dim: config.globalHeadDim,
    num_global_key_value_heads: config.attentionKEqV ? config.numGlobalKvHeads : null,
    attention_k_eq_v: config.attentionKEqV,
    num_kv_shared_layers: config.numKvSharedLayers,
    use_double_wide_mlp: config.useDoubleWideMlp,
    hidden_size_per_layer_input: config.hiddenSizePerLayerInput,
    vocab_size_per_layer_input: config.vocabSizePerLayerInput,
    enable_moe_block: false,
    rms_norm_eps: config.rmsNormEps,
    max_position_embeddings: config.maxPositionEmbeddings,
    hidden_activation: 'gelu_pytorch_tanh',
    attention_bias: false,
    attention_dropout: 0,
    tie_word_embeddings: true,
    final_logit_softcapping: config.finalLogitSoftcap,
    sliding_window: config.slidingWindow,
    layer_types: config.layerTypes.map((type) => (type === 'global' ? 'full_attention' : 'sliding_attention')),
    rope_parameters: {
      full_attention: {
        rope_type: 'proportional',
        rope_theta: config.ropeTheta,
        partial_rotary_factor: config.partialRotaryFactor,
      },
      sliding_attention: { rope_type: 'default', rope_theta: config.ropeLocalTheta },
    },
    pad_token_id: config.padTokenId,
    bos_token_id: config.bosTokenId,
    eos_token_id: config.eosTokenIds.length === 1 ? onlyEos : [...config.eosTokenIds],
  };
}
