import { ConfigError } from '../../config/errors.js';
import {
  checkSize,
  type Fields,
  isFields,
  modelTypeOf,
  readNumber,
  watchFields,
  type WatchedFields,
} from '../../config/fields.js';
import { checkActivation, type Tell, tellUnreadFields } from '../../config/hf-fields.js';
import { type ModulesForm, readModules } from '../embeddinggemma/modules.js';
import { everyNthGlobal, largestSize } from '../gemma/config.js';
import { checkModelType, readTokenIds } from '../gemma/hf.js';
import type { Gemma4Config } from '../gemma4/config.js';
import {
  defaultPeriod,
  defaultVocab,
  outerFields,
  readHeads,
  readLayerTypes,
  readRope,
  withTowers,
} from '../gemma4/hf.js';
import type { HfConfig, HfFiles } from '../layout.js';
import { absent, checkEmbeddingGemma2Config, type EmbeddingGemma2Config } from './config.js';
import { releasedPrompts } from './prompt.js';

const wholeType = 'embedding_gemma2';
const textType = 'embedding_gemma2_text';
/** The model with its towers of pictures and sounds, of which the text model is read, and the text model alone. */
export const modelTypes = [wholeType, textType] as const;

const form: ModulesForm = {
  name: 'EmbeddingGemma 2',
  hasHead: false,
  widthField: 'embedding_dim',
  prompts: releasedPrompts,
};

// What transformers assumes for a field that config.json leaves out (EmbeddingGemma2TextConfig).
const defaults = { d: 512, f: 2048, layers: 24, heads: 4, kvHeads: 2, window: 512, positions: 262144, perLayer: 512 };
const defaultGlobalKvHeads = 1;
const defaultVectorSize = 768;
const defaultRope = {
  full_attention: { rope_type: 'default', rope_theta: 1e6 },
  sliding_attention: { rope_type: 'default', rope_theta: 1e4 },
} as const;

/** What Gemma 4's blocks may have, and these have not, with the values that say so. */
const settled: Readonly<Record<string, readonly unknown[]>> = {
  attention_bias: [false],
  enable_moe_block: [false],
  use_double_wide_mlp: [false],
  attention_k_eq_v: [false],
  num_kv_shared_layers: [0],
  use_bidirectional_attention: [true, 'all'],
};

/** Whether a config.json is of the text model alone, which Python opens under names without a prefix. */
export function isTextAlone(base: HfConfig): boolean {
  return modelTypeOf(base) === textType;
}

/**
 * The config.json of an EmbeddingGemma 2 with the other JSON files of its folder, by name, as an `EmbeddingGemma2Config`. `tell` is told of
 * fields that are not known.
 * @throws {ConfigError} naming the field, or the file and the field, also for what asks for something that is not computed
 */
export function embeddingGemma2ConfigFromHf(json: unknown, tell?: Tell, files: HfFiles = {}): EmbeddingGemma2Config {
  if (!isFields(json)) throw new ConfigError('config.json', json, 'not an object');
  const whole = watchFields(json);
  checkModelType(whole.fields, '', modelTypes);
  const { text, vectorSize } = isTextAlone(json) ? readText(whole, '', tell) : readTextPart(whole, tell);
  const {
    maxTokens = Number.POSITIVE_INFINITY,
    headSizes: _none,
    ...modules
  } = readModules(files, form, vectorSize, tell);
  return checkEmbeddingGemma2Config({
    family: 'embeddinggemma2',
    text,
    vectorSize,
    ...modules,
    maxTokens: Math.min(maxTokens, text.maxPositionEmbeddings),
  });
}

type TextConfig = Pick<EmbeddingGemma2Config, 'text' | 'vectorSize'>;

function readTextPart(whole: WatchedFields, tell: Tell | undefined): TextConfig {
  const nested = whole.fields['text_config'];
  if (!isFields(nested))
    throw new ConfigError('text_config', nested, 'not an object; it says which text model there is');
  checkModelType(nested, 'text_config.', [textType]);
  const config = readText(watchFields(nested), 'text_config.', tell);
  tellUnreadFields(whole, tell, { known: outerFields });
  return config;
}

function readText(watched: WatchedFields, where: string, tell: Tell | undefined): TextConfig {
  const text = watched.fields;
  checkActivation(text, 'hidden_activation', where);
  for (const [field, allowed] of Object.entries(settled))
    if (![undefined, null, ...allowed].includes(text[field]))
      throw new ConfigError(where + field, text[field], 'which no EmbeddingGemma 2 has');
  const numLayers = readNumber(text, 'num_hidden_layers', defaults.layers);
  const period = readNumber(text, 'sliding_window_pattern', defaultPeriod);
  checkSize(`${where}sliding_window_pattern`, period, largestSize);
  const layerTypes = readLayerTypes(text, everyNthGlobal(numLayers, period), where);
  const config: Gemma4Config = {
    family: 'gemma4',
    ...absent,
    vocabSize: readNumber(text, 'vocab_size', defaultVocab),
    hiddenSize: readNumber(text, 'hidden_size', defaults.d),
    intermediateSize: readNumber(text, 'intermediate_size', defaults.f),
    numLayers,
    numHeads: readNumber(text, 'num_attention_heads', defaults.heads),
    ...readHeads(text, { layerTypes, where, kvHeads: defaults.kvHeads, globalKvHeads: globalKvHeadsOf(text) }),
    hiddenSizePerLayerInput: readNumber(text, 'hidden_size_per_layer_input', defaults.perLayer),
    rmsNormEps: readNumber(text, 'rms_norm_eps', 1e-6),
    maxPositionEmbeddings: readNumber(text, 'max_position_embeddings', defaults.positions),
    // Files say how far away the farthest token is that is seen.
    slidingWindow: readNumber(text, 'sliding_window', defaults.window) + 1,
    layerTypes,
    ...readRope(text, where, defaultRope),
    padTokenId: readNumber(text, 'pad_token_id', 0),
    bosTokenId: readNumber(text, 'bos_token_id', 2),
    eosTokenIds: readTokenIds(text['eos_token_id']),
  };
  const vectorSize = readNumber(text, 'embedding_dim', defaultVectorSize);
  tellUnreadFields(watched, tell, { where });
  return { text: config, vectorSize };
}

/** Of files without `per_layer_config`, the only ones where it counts. */
function globalKvHeadsOf(text: Fields): number | null {
  const isElsewhere = (text['per_layer_config'] ?? null) !== null;
  return isElsewhere ? null : readNumber(text, 'num_global_key_value_heads', defaultGlobalKvHeads);
}

/**
 * The config.json of the text model; where `base` is that of a model with further parts, the whole of it, with this as its text part. Alone
 * it is what sentence-transformers opens without files that say how pictures and sounds are prepared.
 */
export function embeddingGemma2ConfigToHf(config: EmbeddingGemma2Config, base?: HfConfig): Record<string, unknown> {
  const text = textToHf(config);
  if (base === undefined || isTextAlone(base)) return { architectures: ['EmbeddingGemma2TextModel'], ...text };
  const before = isFields(base['text_config']) ? base['text_config'] : {};
  const { dtype: _dtype, torch_dtype: _oldType, global_head_dim: _old, ...others } = before;
  const { num_global_key_value_heads: _heads, ...kept } = others;
  return { ...withTowers(base), text_config: { ...kept, ...text } };
}

function textToHf({ text, vectorSize }: EmbeddingGemma2Config): Record<string, unknown> {
  const { layerTypes, globalHeadDim, numGlobalKvHeads, partialRotaryFactor, eosTokenIds } = text;
  const heads = { head_dim: globalHeadDim, num_key_value_heads: numGlobalKvHeads };
  const digits = String(layerTypes.length - 1).length;
  const perLayer = layerTypes.flatMap((type, i) =>
    type === 'global' ? [[String(i).padStart(digits, '0'), heads] as const] : [],
  );
  return {
    model_type: textType,
    vocab_size: text.vocabSize,
    hidden_size: text.hiddenSize,
    intermediate_size: text.intermediateSize,
    num_hidden_layers: text.numLayers,
    num_attention_heads: text.numHeads,
    num_key_value_heads: text.numKvHeads,
    head_dim: text.headDim,
    per_layer_config: Object.fromEntries(perLayer),
    hidden_size_per_layer_input: text.hiddenSizePerLayerInput,
    embedding_dim: vectorSize,
    rms_norm_eps: text.rmsNormEps,
    max_position_embeddings: text.maxPositionEmbeddings,
    hidden_activation: 'gelu_pytorch_tanh',
    attention_bias: false,
    attention_dropout: 0,
    sliding_window: text.slidingWindow - 1,
    layer_types: layerTypes.map((type) => (type === 'global' ? 'full_attention' : 'sliding_attention')),
    rope_parameters: {
      full_attention:
        partialRotaryFactor === 1
          ? { rope_type: 'default', rope_theta: text.ropeTheta }
          : { rope_type: 'proportional', rope_theta: text.ropeTheta, partial_rotary_factor: partialRotaryFactor },
      sliding_attention: { rope_type: 'default', rope_theta: text.ropeLocalTheta },
    },
    pad_token_id: text.padTokenId,
    bos_token_id: text.bosTokenId,
    eos_token_id: eosTokenIds.length === 1 ? eosTokenIds[0] : [...eosTokenIds],
  };
}
