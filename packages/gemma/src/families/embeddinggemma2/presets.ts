import { everyNthGlobal } from '../gemma/config.js';
import { absent, type EmbeddingGemma2Config } from './config.js';
import { releasedPrompts } from './prompt.js';

/** The released size: its text part. Source: https://github.com/huggingface/transformers, `configuration_embedding_gemma2.py`. */
export const embeddingGemma2Presets = {
  'embeddinggemma-2': {
    family: 'embeddinggemma2',
    text: {
      family: 'gemma4',
      ...absent,
      vocabSize: 262144,
      hiddenSize: 512,
      intermediateSize: 2048,
      numLayers: 24,
      numHeads: 4,
      numKvHeads: 2,
      numGlobalKvHeads: 1,
      headDim: 256,
      globalHeadDim: 512,
      hiddenSizePerLayerInput: 512,
      rmsNormEps: 1e-6,
      maxPositionEmbeddings: 262144,
      // 512 tokens to either side.
      slidingWindow: 513,
      layerTypes: everyNthGlobal(24, 6),
      ropeTheta: 1e6,
      ropeLocalTheta: 1e4,
      partialRotaryFactor: 1,
      padTokenId: 0,
      bosTokenId: 2,
      eosTokenIds: [1],
    },
    vectorSize: 768,
    maxTokens: 8192,
    prompts: releasedPrompts,
  },
} as const satisfies Record<string, EmbeddingGemma2Config>;

/** A released size of EmbeddingGemma 2. */
export type EmbeddingGemma2PresetName = keyof typeof embeddingGemma2Presets;
