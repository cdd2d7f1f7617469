import { ConfigError, UnknownModelError } from '../../config/errors.js';
import { type Fields, isFields, readNumber } from '../../config/fields.js';
import { checkGemmaConfig, everyNthGlobal, type GemmaConfig } from './config.js';
import { generationOf, generations } from './generations.js';

/**
 * A GGUF's metadata as a `GemmaConfig`. The format does not hold query scale, layer pattern and local rope base: those
 * follow from the architecture, as in llama.cpp.
 * @throws {UnknownModelError} for any other architecture. @throws {ConfigError} naming the key.
 */
export function gemmaConfigFromGguf(metadata: Fields): GemmaConfig {
  if (!isFields(metadata)) throw new ConfigError('metadata', metadata, 'not an object');
  const architecture = metadata['general.architecture'];
  const arch = typeof architecture === 'string' ? architecture : '(no general.architecture)';
  const traits = generationOf(arch, ({ gguf }) => [gguf.architecture]);
  if (traits === undefined) {
    const supported = Object.values(generations).map(({ gguf }) => gguf.architecture);
    throw new UnknownModelError(arch, supported, 'The GGUF header');
  }

  const key = (name: string) => `${arch}.${name}`;
  const required = (name: string) => {
    if (metadata[key(name)] === undefined) throw new ConfigError(key(name), undefined, 'but every Gemma GGUF has it');
    return readNumber(metadata, key(name), 0);
  };
  const optional = (name: string, fallback: number) => readNumber(metadata, key(name), fallback);

  const numLayers = required('block_count');
  const hiddenSize = required('embedding_length');
  const numHeads = required('attention.head_count');
  const headDim = optional('attention.key_length', 256);
  if (optional('attention.value_length', headDim) !== headDim) {
    throw new ConfigError(key('attention.value_length'), metadata[key('attention.value_length')], 'not the key length');
  }
  const scalingType = metadata[key('rope.scaling.type')] ?? 'none';
  if (scalingType !== 'none' && scalingType !== 'linear') {
    throw new ConfigError(key('rope.scaling.type'), scalingType, 'neither none nor linear');
  }
  const { softcaps, localTheta } = traits;
  const ropeTheta = optional('rope.freq_base', traits.theta);
  const softcap = (name: string, usual: number | null | undefined) => (usual ? optional(name, usual) : null);
  return checkGemmaConfig({
    family: traits.family,
    vocabSize: readVocabSize(metadata, key('vocab_size')),
    hiddenSize,
    intermediateSize: required('feed_forward_length'),
    numLayers,
    numHeads,
    numKvHeads: optional('attention.head_count_kv', numHeads),
    headDim,
    // Stored in float32: 1e-6 reads as 9.99999997e-7.
    rmsNormEps: Number(optional('attention.layer_norm_rms_epsilon', 1e-6).toPrecision(7)),
    maxPositionEmbeddings: required('context_length'),
    queryPreAttnScalar: numLayers === traits.layersOf27b ? hiddenSize / numHeads : headDim,
    attnLogitSoftcap: softcap('attn_logit_softcapping', softcaps?.attention),
    finalLogitSoftcap: softcap('final_logit_softcapping', softcaps?.final),
    slidingWindow: traits.hasLocalLayers ? optional('attention.sliding_window', traits.gguf.defaultWindow) : null,
    layerTypes: everyNthGlobal(numLayers, traits.layerPeriod),
    ropeTheta,
    ropeLocalTheta: localTheta === null ? ropeTheta : optional('rope.freq_base_swa', localTheta),
    ropeScalingFactor: scalingType === 'linear' ? optional('rope.scaling.factor', 1) : 1,
    padTokenId: readNumber(metadata, 'tokenizer.ggml.padding_token_id', 0),
    bosTokenId: readNumber(metadata, 'tokenizer.ggml.bos_token_id', 2),
    eosTokenIds: readStopTokens(metadata),
  });
}

function readVocabSize(metadata: Fields, sizeKey: string): number {
  const tokens = metadata['tokenizer.ggml.tokens'];
  if (Array.isArray(tokens)) return tokens.length;
  if (metadata[sizeKey] === undefined) {
    throw new ConfigError(
      'tokenizer.ggml.tokens',
      tokens,
      `and there is no ${sizeKey}: the vocabulary's size is unknown`,
    );
  }
  return readNumber(metadata, sizeKey, 0);
}

function readStopTokens(metadata: Fields): number[] {
  const eos = readNumber(metadata, 'tokenizer.ggml.eos_token_id', 1);
  return [...new Set([eos, readNumber(metadata, 'tokenizer.ggml.eot_token_id', eos)])];
}
