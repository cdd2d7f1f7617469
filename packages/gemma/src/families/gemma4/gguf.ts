import { ConfigError, UnknownModelError } from '../../config/errors.js';
import { type Fields, isFields, readNumber, watchFields } from '../../config/fields.js';
import type { LayerType } from '../gemma/config.js';
import { type Keys, keysOf, readPattern, readStopTokens, readVocabSize } from '../gemma/gguf.js';
import { checkGemma4Config, type Gemma4Config } from './config.js';

/** `general.architecture` of its GGUFs. */
export const ggufArchitecture = 'gemma4';

/** No key says which pairs turn: `rope_freqs.weight` does, which holds what `ropeFrequencyFactors` gives for this share. */
const partialRotaryFactor = 0.25;

/** Keys of the architecture, without its name, that change nothing here. */
const harmlessKeys = [
  // How positions were stretched in training, which only yarn's formula asks for.
  /^rope\.scaling\.(original_context_length|finetuned)$/,
  // Of models with experts, which are refused by their number.
  /^expert_feed_forward_length$/,
];

/**
 * A GGUF's metadata as a `Gemma4Config`. That keys are the values on global layers is not said: releases where they are have fewer
 * heads of keys there, and others never do.
 * @throws {UnknownModelError} for any other architecture. @throws {ConfigError} naming the key, also of one that is not known.
 */
export function gemma4ConfigFromGguf(metadata: Fields): Gemma4Config {
  if (!isFields(metadata)) throw new ConfigError('metadata', metadata, 'not an object');
  const { fields, unread } = watchFields(metadata);
  const architecture = fields['general.architecture'];
  if (architecture !== ggufArchitecture)
    throw new UnknownModelError(
      typeof architecture === 'string' ? architecture : '(no general.architecture)',
      [ggufArchitecture],
      'The GGUF header',
    );
  const type = fields['general.type'];
  if (type !== undefined && type !== 'model') throw new ConfigError('general.type', type, 'but a model is wanted');
  const config = checkGemma4Config(readKeys(keysOf(fields, ggufArchitecture)));
  for (const key of unread()) {
    if (!key.startsWith(`${ggufArchitecture}.`)) continue;
    const name = key.slice(ggufArchitecture.length + 1);
    if (!harmlessKeys.some((pattern) => pattern.test(name)))
      throw new ConfigError(key, metadata[key], 'but what it says of a Gemma 4 is not supported');
  }
  return config;
}

function readKeys(keys: Keys): Gemma4Config {
  const { fields, key, value, optional, required, sameInAll, expect } = keys;
  const numLayers = required('block_count');
  const hiddenSize = required('embedding_length');
  const globalHeadDim = required('attention.key_length');
  const headDim = required('attention.key_length_swa');
  expect('attention.value_length', globalHeadDim, `not the key length ${globalHeadDim}`);
  expect('attention.value_length_swa', headDim, `not the key length ${headDim}`);
  expect('rope.dimension_count', globalHeadDim, `but it is the size of a global head, ${globalHeadDim}`);
  expect('rope.dimension_count_swa', headDim, `but all ${headDim} values of a local head are turned`);
  expect('embedding_length_out', hiddenSize, `not the embedding length ${hiddenSize}`);
  expect('attention.causal', true, 'but only causal language models are supported');
  expect('attention.scale', 1, 'but scores are not scaled');
  for (const name of ['expert_count', 'expert_used_count'])
    expect(name, 0, 'but mixtures of experts are not computed here');
  const scaling = value('rope.scaling.type');
  if (![undefined, 'none'].includes(scaling as undefined))
    throw new ConfigError(key('rope.scaling.type'), scaling, 'but positions are not scaled');
  const layerTypes = readPattern(
    key('attention.sliding_window_pattern'),
    value('attention.sliding_window_pattern'),
    numLayers,
  );
  const numKvSharedLayers = required('attention.shared_kv_layers');
  const kvHeads = byType(keys, 'attention.head_count_kv', layerTypes);
  return {
    family: 'gemma4',
    vocabSize: readVocabSize(fields, key('vocab_size')),
    hiddenSize,
    ...readWidths(keys, numLayers, numKvSharedLayers),
    numLayers,
    numHeads: sameInAll('attention.head_count'),
    numKvHeads: kvHeads.local,
    numGlobalKvHeads: kvHeads.global,
    headDim,
    globalHeadDim,
    attentionKEqV: kvHeads.local !== kvHeads.global,
    numKvSharedLayers,
    hiddenSizePerLayerInput: required('embedding_length_per_layer_input'),
    vocabSizePerLayerInput: readVocabSize(fields, key('vocab_size')),
    // Stored in float32: 1e-6 reads as 9.99999997e-7.
    rmsNormEps: Number(required('attention.layer_norm_rms_epsilon').toPrecision(7)),
    maxPositionEmbeddings: required('context_length'),
    // llama.cpp takes 30 where a file does not say; 0 is none.
    finalLogitSoftcap: optional('final_logit_softcapping', 30) || null,
    slidingWindow: required('attention.sliding_window'),
    layerTypes,
    ropeTheta: optional('rope.freq_base', 1e6),
    ropeLocalTheta: optional('rope.freq_base_swa', 1e4),
    partialRotaryFactor,
    padTokenId: readNumber(fields, 'tokenizer.ggml.padding_token_id', 0),
    bosTokenId: readNumber(fields, 'tokenizer.ggml.bos_token_id', 2),
    eosTokenIds: readStopTokens(fields),
  };
}

/** One number for all layers, or one for each, the same for all of a type. */
function byType({ key, value, required }: Keys, name: string, layerTypes: readonly LayerType[]) {
  const list = value(name);
  if (!Array.isArray(list)) return { local: required(name), global: required(name) };
  const numbers = numbersOf(key(name), list, layerTypes.length);
  const of = (type: LayerType) => {
    const own = numbers.filter((_, i) => layerTypes[i] === type);
    if (own.some((number) => number !== own[0]))
      throw new ConfigError(key(name), list, `but all ${type} layers are alike`);
    return own[0];
  };
  const [local, global] = [of('local'), of('global')];
  return { local: local ?? global ?? 0, global: global ?? local ?? 0 };
}

/** How wide MLPs are: one number, or one for each layer, of which the last ones may be twice as wide. */
function readWidths({ key, value, required }: Keys, numLayers: number, shared: number) {
  const name = 'feed_forward_length';
  const list = value(name);
  if (!Array.isArray(list)) return { intermediateSize: required(name), useDoubleWideMlp: false };
  const numbers = numbersOf(key(name), list, numLayers);
  const [first] = numbers as [number];
  const useDoubleWideMlp = shared > 0 && numbers.at(-1) === 2 * first;
  const isAsSaid = numbers.every((size, i) => size === first * (useDoubleWideMlp && i >= numLayers - shared ? 2 : 1));
  if (!isAsSaid)
    throw new ConfigError(
      key(name),
      list,
      `but only the last ${shared} layers may differ, which are twice as wide then`,
    );
  return { intermediateSize: first, useDoubleWideMlp };
}

function numbersOf(key: string, list: readonly unknown[], count: number): number[] {
  if (list.length !== count) throw new ConfigError(key, list, `not one entry for each of ${count} layers`);
  return list.map((entry) => readNumber({ [key]: entry }, key, 0));
}

/**
 * What angles of a global layer's pairs are divided by, f32 [globalHeadDim / 2], as llama.cpp reads them from `rope_freqs.weight`: 1 for
 * pairs that turn, 1e30 for those that do not.
 */
export function ropeFrequencyFactors({ globalHeadDim, partialRotaryFactor: share }: Gemma4Config): Float32Array {
  const rotated = Math.floor((globalHeadDim * share) / 2);
  return Float32Array.from({ length: globalHeadDim / 2 }, (_, pair) => (pair < rotated ? 1 : 1e30));
}
