import { everyNthGlobal, type GemmaConfig, type GemmaFamily } from './config.js';
import { generations } from './generations.js';

const common = { rmsNormEps: 1e-6, ropeScalingFactor: 1, padTokenId: 0, bosTokenId: 2, eosTokenIds: [1] } as const;
const noCaps = { attnLogitSoftcap: null, finalLogitSoftcap: null } as const;

interface Size {
  readonly layers: number;
  readonly d: number;
  readonly f: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim?: number;
  readonly queryPreAttnScalar?: number;
}

function sized(family: GemmaFamily, size: Size) {
  const headDim = size.headDim ?? 256;
  const { layerPeriod, theta, localTheta } = generations[family];
  return {
    family,
    numLayers: size.layers,
    hiddenSize: size.d,
    intermediateSize: size.f,
    numHeads: size.heads,
    numKvHeads: size.kvHeads,
    headDim,
    queryPreAttnScalar: size.queryPreAttnScalar ?? headDim,
    layerTypes: everyNthGlobal(size.layers, layerPeriod),
    ropeTheta: theta,
    ropeLocalTheta: localTheta ?? theta,
  };
}

function gemma1(size: Size): GemmaConfig {
  return {
    ...common,
    ...noCaps,
    ...sized('gemma1', size),
    vocabSize: 256000,
    maxPositionEmbeddings: 8192,
    slidingWindow: null,
  };
}

function gemma2(size: Size): GemmaConfig {
  return {
    ...common,
    ...sized('gemma2', size),
    vocabSize: 256000,
    maxPositionEmbeddings: 8192,
    attnLogitSoftcap: 50,
    finalLogitSoftcap: 30,
    slidingWindow: 4096,
  };
}

function gemma3(size: Size): GemmaConfig {
  const small = size.layers <= 26; // 270M and 1B: shorter window and context, positions not scaled
  return {
    ...common,
    ...noCaps,
    ...sized('gemma3', size),
    vocabSize: 262144,
    maxPositionEmbeddings: small ? 32768 : 131072,
    slidingWindow: small ? 512 : 1024,
    ropeScalingFactor: small ? 1 : 8,
  };
}

/** The released sizes of Gemma 1. */
export const gemma1Presets = {
  'gemma-2b': gemma1({ layers: 18, d: 2048, f: 16384, heads: 8, kvHeads: 1 }),
  'gemma-7b': gemma1({ layers: 28, d: 3072, f: 24576, heads: 16, kvHeads: 16 }),
} as const satisfies Record<string, GemmaConfig>;

/** The released sizes of Gemma 2. */
export const gemma2Presets = {
  'gemma-2-2b': gemma2({ layers: 26, d: 2304, f: 9216, heads: 8, kvHeads: 4 }),
  'gemma-2-9b': gemma2({ layers: 42, d: 3584, f: 14336, heads: 16, kvHeads: 8 }),
  // The 27B models scale queries by (d / heads) ** -0.5, not by headDim ** -0.5.
  'gemma-2-27b': gemma2({
    layers: 46,
    d: 4608,
    f: 36864,
    heads: 32,
    kvHeads: 16,
    headDim: 128,
    queryPreAttnScalar: 144,
  }),
} as const satisfies Record<string, GemmaConfig>;

/** The text models of the released sizes of Gemma 3. */
export const gemma3Presets = {
  'gemma-3-270m': gemma3({ layers: 18, d: 640, f: 2048, heads: 4, kvHeads: 1 }),
  'gemma-3-1b': gemma3({ layers: 26, d: 1152, f: 6912, heads: 4, kvHeads: 1 }),
  'gemma-3-4b': gemma3({ layers: 34, d: 2560, f: 10240, heads: 8, kvHeads: 4 }),
  'gemma-3-12b': gemma3({ layers: 48, d: 3840, f: 15360, heads: 16, kvHeads: 8 }),
  'gemma-3-27b': gemma3({
    layers: 62,
    d: 5376,
    f: 21504,
    heads: 32,
    kvHeads: 16,
    headDim: 128,
    queryPreAttnScalar: 168,
  }),
} as const satisfies Record<string, GemmaConfig>;

/**
 * The text model of every released Gemma 1, 2 and 3 size. `vocabSize` is the official vocabulary; Hugging Face's files
 * of Gemma 3 4B and larger carry 64 filler rows more (262,208), which `gemmaConfigFromHf` reports as they are.
 * Source: https://github.com/google-deepmind/gemma, `gemma/gm/nn`.
 */
export const gemmaPresets = { ...gemma1Presets, ...gemma2Presets, ...gemma3Presets };

/** A released size of Gemma. */
export type GemmaPresetName = keyof typeof gemmaPresets;
