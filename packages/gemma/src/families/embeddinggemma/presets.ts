import { everyNthGlobal } from '../gemma/config.js';
import { generations } from '../gemma/generations.js';
import type { EmbeddingGemmaConfig } from './config.js';
import { releasedPrompts } from './prompt.js';

const { layerPeriod, theta, localTheta } = generations.gemma3;

/** The released size. Source: https://github.com/huggingface/transformers, `convert_gemma3_weights.py`. */
export const embeddingGemmaPresets = {
  'embeddinggemma-300m': {
    family: 'embeddinggemma',
    text: {
      family: 'gemma3',
      vocabSize: 262144,
      hiddenSize: 768,
      intermediateSize: 1152,
      numLayers: 24,
      numHeads: 3,
      numKvHeads: 1,
      headDim: 256,
      rmsNormEps: 1e-6,
      maxPositionEmbeddings: 2048,
      queryPreAttnScalar: 256,
      attnLogitSoftcap: null,
      finalLogitSoftcap: null,
      // 256 tokens to either side: files say 512.
      slidingWindow: 257,
      layerTypes: everyNthGlobal(24, layerPeriod),
      ropeTheta: theta,
      ropeLocalTheta: localTheta ?? theta,
      ropeScalingFactor: 1,
      padTokenId: 0,
      bosTokenId: 2,
      eosTokenIds: [1],
    },
    headSizes: [3072, 768],
    maxTokens: 2048,
    prompts: releasedPrompts,
  },
} as const satisfies Record<string, EmbeddingGemmaConfig>;

/** A released size of EmbeddingGemma. */
export type EmbeddingGemmaPresetName = keyof typeof embeddingGemmaPresets;
