import { ConfigError, UnknownModelError } from '../../config/errors.js';
import { type Fields, isFields, readNumber, watchFields } from '../../config/fields.js';
import { checkGemmaConfig, everyNthGlobal, type GemmaConfig, type LayerType } from './config.js';
import { generationOf, generations, type GemmaTraits } from './generations.js';

/**
 * Keys of the architecture, without its name, that change nothing here. Any other key that is not read is refused: it would say of the
 * model what is not computed.
 */
const harmlessKeys = [
  // How positions were stretched in training, which only yarn's formula asks for.
  /^rope\.scaling\.(original_context_length|finetuned)$/,
  // What a model of embeddings does with the last hidden states.
  /^pooling_type$/,
  // Of the vision tower that Ollama keeps in the same file; only the text part is read.
  /^(vision|mm)\./,
];

/**
 * A GGUF's metadata as a `GemmaConfig`. What files do not say (the query scale, often the layer pattern and the local rope base) follows
 * from the architecture, as in llama.cpp.
 * @throws {UnknownModelError} for any other architecture. @throws {ConfigError} naming the key, also of one that is not known.
 */
export function gemmaConfigFromGguf(metadata: Fields): GemmaConfig {
  if (!isFields(metadata)) throw new ConfigError('metadata', metadata, 'not an object');
  const { fields, unread } = watchFields(metadata);
  const architecture = fields['general.architecture'];
  const arch = typeof architecture === 'string' ? architecture : '(no general.architecture)';
  const traits = generationOf(arch, ({ gguf }) => [gguf.architecture]);
  if (traits === undefined) {
    const supported = Object.values(generations).map(({ gguf }) => gguf.architecture);
    throw new UnknownModelError(arch, supported, 'The GGUF header');
  }
  const type = fields['general.type'];
  if (type !== undefined && type !== 'model') {
    throw new ConfigError('general.type', type, 'but a model is wanted');
  }
  const config = checkGemmaConfig(readKeys(keysOf(fields, arch), traits));
  for (const key of unread()) {
    if (!key.startsWith(`${arch}.`)) continue;
    const name = key.slice(arch.length + 1);
    if (!harmlessKeys.some((pattern) => pattern.test(name))) {
      throw new ConfigError(key, metadata[key], `but what it says of a ${traits.name} is not supported`);
    }
  }
  return config;
}

/** The keys of the architecture, by their names without it. */
export interface Keys {
  readonly fields: Fields;
  key(name: string): string;
  value(name: string): unknown;
  optional(name: string, fallback: number): number;
  required(name: string): number;
  /** One number for all layers, which some files repeat for each. */
  sameInAll(name: string, fallback?: number): number;
  /** Refuses any value but this one; the key may be absent. */
  expect(name: string, allowed: number | boolean, problem: string): void;
}

export function keysOf(fields: Fields, arch: string): Keys {
  const key = (name: string) => `${arch}.${name}`;
  const value = (name: string) => fields[key(name)];
  const optional = (name: string, fallback: number) => readNumber(fields, key(name), fallback);
  const required = (name: string) => {
    if (value(name) === undefined) throw new ConfigError(key(name), undefined, 'but every Gemma GGUF has it');
    return optional(name, 0);
  };
  return {
    fields,
    key,
    value,
    optional,
    required,
    sameInAll(name, fallback) {
      const list = value(name);
      if (!Array.isArray(list)) return fallback === undefined ? required(name) : optional(name, fallback);
      const [first] = list as unknown[];
      if (!list.every((entry) => entry === first))
        throw new ConfigError(key(name), list, 'but all layers must be alike');
      return readNumber({ [key(name)]: first }, key(name), 0);
    },
    expect(name, allowed, problem) {
      const found = value(name);
      if (found !== undefined && found !== allowed) throw new ConfigError(key(name), found, problem);
    },
  };
}

function readKeys(keys: Keys, traits: GemmaTraits): GemmaConfig {
  const { fields, key, optional, required, sameInAll, expect } = keys;
  const numLayers = required('block_count');
  const hiddenSize = required('embedding_length');
  const numHeads = sameInAll('attention.head_count');
  const headDim = optional('attention.key_length', 256);
  for (const name of ['attention.value_length', 'attention.key_length_swa', 'attention.value_length_swa'])
    expect(name, headDim, `not the key length ${headDim}`);
  for (const name of ['rope.dimension_count', 'rope.dimension_count_swa'])
    expect(name, headDim, `but all ${headDim} values of a head are turned`);
  expect('embedding_length_out', hiddenSize, `not the embedding length ${hiddenSize}`);
  expect('attention.causal', true, 'but only causal language models are supported');
  expect('attention.shared_kv_layers', 0, 'but every layer has keys and values of its own');
  expect('expert_count', 0, 'but no Gemma of these has experts');
  expect('expert_used_count', 0, 'but no Gemma of these has experts');
  expect('use_parallel_residual', false, 'but attention and MLP follow each other');
  const { softcaps } = traits;
  // Files write 0 for no cap.
  const softcap = (name: string, usual: number | null) => optional(name, usual ?? 0) || null;
  const queryPreAttnScalar = numLayers === traits.layersOf27b ? hiddenSize / numHeads : headDim;
  const scale = optional('attention.scale', queryPreAttnScalar ** -0.5);
  if (Math.abs(scale * queryPreAttnScalar ** 0.5 - 1) > 1e-5) {
    throw new ConfigError(key('attention.scale'), scale, `but this ${traits.name} has ${queryPreAttnScalar ** -0.5}`);
  }
  return {
    family: traits.family,
    vocabSize: readVocabSize(fields, key('vocab_size')),
    hiddenSize,
    intermediateSize: sameInAll('feed_forward_length'),
    numLayers,
    numHeads,
    numKvHeads: sameInAll('attention.head_count_kv', numHeads),
    headDim,
    // Stored in float32: 1e-6 reads as 9.99999997e-7.
    rmsNormEps: Number(required('attention.layer_norm_rms_epsilon').toPrecision(7)),
    maxPositionEmbeddings: required('context_length'),
    queryPreAttnScalar,
    attnLogitSoftcap: softcaps && softcap('attn_logit_softcapping', softcaps.attention),
    finalLogitSoftcap: softcaps && softcap('final_logit_softcapping', softcaps.final),
    ...readWindow(keys, traits, numLayers),
    ...readRope(keys, traits),
    padTokenId: readNumber(fields, 'tokenizer.ggml.padding_token_id', 0),
    bosTokenId: readNumber(fields, 'tokenizer.ggml.bos_token_id', 2),
    eosTokenIds: readStopTokens(fields),
  };
}

/** A window of 0, or none where the architecture has no usual one, makes every layer global. */
function readWindow({ key, value, optional }: Keys, traits: GemmaTraits, numLayers: number) {
  const window = traits.hasLocalLayers ? optional('attention.sliding_window', traits.gguf.defaultWindow) : 0;
  const name = 'attention.sliding_window_pattern';
  const layerTypes = traits.hasLocalLayers
    ? readPattern(key(name), value(name) ?? traits.layerPeriod, numLayers)
    : everyNthGlobal(numLayers, 1);
  if (window === 0) return { slidingWindow: null, layerTypes: everyNthGlobal(numLayers, 1) };
  return { slidingWindow: traits.hasLocalLayers ? window : null, layerTypes };
}

/** Every how manieth layer is global (0: none is), or for each layer whether it is local. */
export function readPattern(key: string, pattern: unknown, numLayers: number): LayerType[] {
  if (pattern === 0) return everyNthGlobal(numLayers, numLayers + 1);
  if (typeof pattern === 'number') return everyNthGlobal(numLayers, pattern);
  if (!Array.isArray(pattern) || pattern.length !== numLayers) {
    throw new ConfigError(key, pattern, `neither a number nor a list for each of ${numLayers} layers`);
  }
  return pattern.map((isLocal: unknown) => {
    if (![true, false, 0, 1].includes(isLocal as never))
      throw new ConfigError(key, pattern, 'not a list of true and false');
    return isLocal ? 'local' : 'global';
  });
}

function readRope({ key, value, optional, expect }: Keys, { name, theta, localTheta, hasLocalLayers }: GemmaTraits) {
  const type = value('rope.scaling.type') ?? 'linear';
  if (type !== 'none' && type !== 'linear') {
    throw new ConfigError(key('rope.scaling.type'), type, 'neither none nor linear');
  }
  expect('rope.scaling.attn_factor', 1, 'but scores are not scaled by it');
  // The second name is of old files; 0 means unscaled, as in llama.cpp.
  const factor = optional('rope.scaling.factor', optional('rope.scale_linear', 1)) || 1;
  const ropeScalingFactor = type === 'linear' ? factor : 1;
  // The second names are Ollama's.
  const ropeTheta = optional('rope.freq_base', optional('rope.global.freq_base', theta));
  const ropeLocalTheta = optional(
    'rope.freq_base_swa',
    localTheta === null ? ropeTheta : optional('rope.local.freq_base', localTheta),
  );
  if (localTheta === null && ropeLocalTheta !== ropeTheta)
    throw new ConfigError(key('rope.freq_base_swa'), ropeLocalTheta, `but all layers of ${name} turn alike`);
  if (localTheta === null && hasLocalLayers && ropeScalingFactor !== 1)
    throw new ConfigError(key('rope.scaling.factor'), factor, `but ${name} with scaled positions is not supported`);
  return { ropeTheta, ropeLocalTheta, ropeScalingFactor };
}

export function readVocabSize(metadata: Fields, sizeKey: string): number {
  const tokens = metadata['tokenizer.ggml.tokens'];
  const stated = metadata[sizeKey];
  if (Array.isArray(tokens)) return tokens.length;
  if (stated === undefined) {
    throw new ConfigError(
      'tokenizer.ggml.tokens',
      tokens,
      `and there is no ${sizeKey}: the vocabulary's size is unknown`,
    );
  }
  return readNumber(metadata, sizeKey, 0);
}

/** Ends of text, of a turn, and of a message that a tool is to answer. */
export function readStopTokens(metadata: Fields): number[] {
  const eos = readNumber(metadata, 'tokenizer.ggml.eos_token_id', 1);
  const others = ['eot', 'eom'].map((name) => readNumber(metadata, `tokenizer.ggml.${name}_token_id`, eos));
  return [...new Set([eos, ...others])];
}
