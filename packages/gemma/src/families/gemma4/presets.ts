import { everyNthGlobal } from '../gemma/config.js';
import type { Gemma4Config } from './config.js';

interface Size {
  readonly layers: number;
  readonly d: number;
  readonly f: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly period: number;
  /** Layers that share keys and values, of models with inputs for each layer. */
  readonly shared?: number;
  readonly useDoubleWideMlp?: boolean;
  /** Heads of keys on global layers, where the keys are the values. */
  readonly globalKvHeads?: number;
}

function gemma4(size: Size): Gemma4Config {
  const isSmall = size.shared !== undefined;
  return {
    family: 'gemma4',
    vocabSize: 262144,
    hiddenSize: size.d,
    intermediateSize: size.f,
    useDoubleWideMlp: size.useDoubleWideMlp ?? false,
    numLayers: size.layers,
    numHeads: size.heads,
    numKvHeads: size.kvHeads,
    numGlobalKvHeads: size.globalKvHeads ?? size.kvHeads,
    headDim: 256,
    globalHeadDim: 512,
    attentionKEqV: size.globalKvHeads !== undefined,
    numKvSharedLayers: size.shared ?? 0,
    hiddenSizePerLayerInput: isSmall ? 256 : 0,
    vocabSizePerLayerInput: 262144,
    rmsNormEps: 1e-6,
    maxPositionEmbeddings: isSmall ? 131072 : 262144,
    finalLogitSoftcap: 30,
    slidingWindow: isSmall ? 512 : 1024,
    layerTypes: everyNthGlobal(size.layers, size.period),
    ropeTheta: 1e6,
    ropeLocalTheta: 1e4,
    partialRotaryFactor: 0.25,
    padTokenId: 0,
    bosTokenId: 2,
    eosTokenIds: [1],
  };
}

/** The released sizes of Gemma 4 without experts: their text parts. */
export const gemma4Presets = {
  'gemma-4-e2b': gemma4({
    layers: 35,
    d: 1536,
    f: 6144,
    heads: 8,
    kvHeads: 1,
    period: 5,
    shared: 20,
    useDoubleWideMlp: true,
  }),
  'gemma-4-e4b': gemma4({ layers: 42, d: 2560, f: 10240, heads: 8, kvHeads: 2, period: 6, shared: 18 }),
  'gemma-4-12b': gemma4({ layers: 48, d: 3840, f: 15360, heads: 16, kvHeads: 8, period: 6, globalKvHeads: 1 }),
  'gemma-4-31b': gemma4({ layers: 60, d: 5376, f: 21504, heads: 32, kvHeads: 16, period: 6, globalKvHeads: 4 }),
} as const satisfies Record<string, Gemma4Config>;

/** A released size of Gemma 4. */
export type Gemma4PresetName = keyof typeof gemma4Presets;
