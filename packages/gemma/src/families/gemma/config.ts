import { ConfigError } from '../../config/errors.js';
import { checkPositive, checkSize } from '../../config/fields.js';
import type { LayerGeometry } from '../family.js';

/** A generation: `ModelConfig.family` of its models. */
export type GemmaFamily = 'gemma1' | 'gemma2' | 'gemma3';
/** `global` layers see everything before them; `local` ones a sliding window. */
export type LayerType = 'global' | 'local';

/** Everything the architecture of a Gemma text model depends on. Names follow Hugging Face's config fields. */
export interface GemmaConfig {
  readonly family: GemmaFamily;
  /** Rows of the (tied) embedding table. */
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly numLayers: number;
  readonly numHeads: number;
  readonly numKvHeads: number;
  /** Not derivable from `hiddenSize / numHeads`: most sizes differ. */
  readonly headDim: number;
  readonly rmsNormEps: number;
  readonly maxPositionEmbeddings: number;
  /** Scores are scaled by `queryPreAttnScalar ** -0.5`. */
  readonly queryPreAttnScalar: number;
  readonly attnLogitSoftcap: number | null;
  readonly finalLogitSoftcap: number | null;
  /** A local layer's query sees itself and `slidingWindow - 1` tokens before it. */
  readonly slidingWindow: number | null;
  readonly layerTypes: readonly LayerType[];
  readonly ropeTheta: number;
  readonly ropeLocalTheta: number;
  /** Positions are divided by this on global layers (Gemma 3 4B and larger: 8). */
  readonly ropeScalingFactor: number;
  readonly padTokenId: number;
  readonly bosTokenId: number;
  readonly eosTokenIds: readonly number[];
}

/** Sizes above this are no model but a broken file; it also keeps every product of two sizes a safe integer. */
export const largestSize = 2 ** 26;
const largestLayerCount = 4096;

/** `count` layers of which every `period`-th is global. @throws ConfigError */
export function everyNthGlobal(count: number, period: number): LayerType[] {
  checkSize('number of layers', count, largestLayerCount);
  if (!Number.isSafeInteger(period) || period < 1)
    throw new ConfigError('sliding_window_pattern', period, 'not a positive integer');
  return Array.from({ length: count }, (_, i) => ((i + 1) % period === 0 ? 'global' : 'local'));
}

/** The config itself, when its numbers can be a model's. @throws ConfigError naming the field */
export function checkGemmaConfig(config: GemmaConfig): GemmaConfig {
  for (const field of [
    'vocabSize',
    'hiddenSize',
    'intermediateSize',
    'numLayers',
    'numHeads',
    'numKvHeads',
    'headDim',
    'maxPositionEmbeddings',
  ] as const)
    checkSize(field, config[field], largestSize);
  for (const field of ['rmsNormEps', 'queryPreAttnScalar', 'ropeTheta', 'ropeLocalTheta', 'ropeScalingFactor'] as const)
    checkPositive(field, config[field]);
  for (const field of ['attnLogitSoftcap', 'finalLogitSoftcap'] as const) {
    const value = config[field];
    if (value !== null) checkPositive(field, value);
  }
  const { numHeads, numKvHeads, headDim, numLayers, layerTypes, slidingWindow } = config;
  if (slidingWindow !== null) checkSize('slidingWindow', slidingWindow, largestSize);
  if (numHeads % numKvHeads !== 0)
    throw new ConfigError('numKvHeads', numKvHeads, `no divisor of the ${numHeads} query heads`);
  if (headDim % 2 !== 0) throw new ConfigError('headDim', headDim, 'odd; rotary embedding needs pairs');
  if (layerTypes.length !== numLayers)
    throw new ConfigError('layerTypes', layerTypes.length, `not one entry for each of ${numLayers} layers`);
  const other = layerTypes.find((type) => type !== 'global' && type !== 'local');
  if (other !== undefined) throw new ConfigError('layerTypes', other, 'not "global" or "local"');
  if (slidingWindow === null && layerTypes.includes('local'))
    throw new ConfigError('slidingWindow', null, 'but some layers are local');
  return config;
}

/** The decoder's layers: all alike, but that local ones see a window and turn by a base of their own. */
export function gemmaLayers(config: GemmaConfig): LayerGeometry[] {
  const { numHeads, numKvHeads, headDim, intermediateSize } = config;
  return config.layerTypes.map((type, index) => ({
    numHeads,
    numKvHeads,
    headDim,
    intermediateSize,
    ...(type === 'local'
      ? { window: config.slidingWindow, rope: { theta: config.ropeLocalTheta, scalingFactor: 1 } }
      : { window: null, rope: { theta: config.ropeTheta, scalingFactor: config.ropeScalingFactor } }),
    kvFrom: index,
  }));
}
