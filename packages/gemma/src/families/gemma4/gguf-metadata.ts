import type { GgufMetadata } from '../gguf-value.js';
import { checkRead } from '../gemma/gguf-metadata.js';
import { type Gemma4Config, gemma4Layers } from './config.js';
import { gemma4ConfigFromGguf, ggufArchitecture } from './gguf.js';

/** Fields that the architecture's keys say nothing of: the vocabulary's are its own. */
const ofVocabulary: readonly (keyof Gemma4Config)[] = [
  'vocabSize',
  'vocabSizePerLayerInput',
  'padTokenId',
  'bosTokenId',
  'eosTokenIds',
];

/**
 * The keys of the architecture that llama.cpp's converter writes, and llama.cpp reads.
 * Source: https://github.com/ggml-org/llama.cpp, `conversion/gemma.py`.
 * @throws {ConfigError} naming a field that llama.cpp would take to have another value
 */
export function gemma4ConfigToGguf(config: Gemma4Config): GgufMetadata {
  const isLocal = config.layerTypes.map((type) => type === 'local');
  const { globalHeadDim, headDim, numKvHeads, numGlobalKvHeads } = config;
  const keys: GgufMetadata = {
    context_length: ['u32', config.maxPositionEmbeddings],
    embedding_length: ['u32', config.hiddenSize],
    block_count: ['u32', config.numLayers],
    feed_forward_length: config.useDoubleWideMlp
      ? ['i32s', gemma4Layers(config).map(({ intermediateSize }) => intermediateSize)]
      : ['u32', config.intermediateSize],
    'attention.head_count': ['u32', config.numHeads],
    'attention.head_count_kv': config.attentionKEqV
      ? ['i32s', isLocal.map((local) => (local ? numKvHeads : numGlobalKvHeads))]
      : ['u32', numKvHeads],
    'attention.layer_norm_rms_epsilon': ['f32', config.rmsNormEps],
    'attention.key_length': ['u32', globalHeadDim],
    'attention.value_length': ['u32', globalHeadDim],
    'attention.key_length_swa': ['u32', headDim],
    'attention.value_length_swa': ['u32', headDim],
    'attention.sliding_window': ['u32', config.slidingWindow],
    'attention.sliding_window_pattern': ['bools', isLocal],
    'attention.shared_kv_layers': ['u32', config.numKvSharedLayers],
    embedding_length_per_layer_input: ['u32', config.hiddenSizePerLayerInput],
    'rope.freq_base': ['f32', config.ropeTheta],
    'rope.freq_base_swa': ['f32', config.ropeLocalTheta],
    'rope.dimension_count': ['u32', globalHeadDim],
    'rope.dimension_count_swa': ['u32', headDim],
    final_logit_softcapping: ['f32', config.finalLogitSoftcap ?? 0],
  };
  const metadata: GgufMetadata = Object.fromEntries(
    Object.entries(keys).map(([name, value]) => [`${ggufArchitecture}.${name}`, value]),
  );
  checkRead(config, metadata, { arch: ggufArchitecture, ofVocabulary, read: gemma4ConfigFromGguf });
  return { 'general.architecture': ['string', ggufArchitecture], ...metadata };
}
