import { ConfigError } from '../../config/errors.js';
import { checkPositive, checkSize } from '../../config/fields.js';
import type { LayerGeometry } from '../family.js';
import { largestSize, type LayerType } from '../gemma/config.js';

/** Everything the architecture of a Gemma 4 text model depends on. Names follow Hugging Face's config fields. */
export interface Gemma4Config {
  readonly family: 'gemma4';
  /** Rows of the (tied) embedding table. */
  readonly vocabSize: number;
  readonly hiddenSize: number;
  /** Of layers with keys and values of their own. */
  readonly intermediateSize: number;
  /** The MLPs of the layers that share keys and values are twice as wide. */
  readonly useDoubleWideMlp: boolean;
  readonly numLayers: number;
  readonly numHeads: number;
  /** Of local layers. */
  readonly numKvHeads: number;
  readonly numGlobalKvHeads: number;
  /** Of local layers. */
  readonly headDim: number;
  readonly globalHeadDim: number;
  /** On global layers the keys, before norm and rotation, are the values too. */
  readonly attentionKEqV: boolean;
  /** So many last layers attend to the keys and values of the last layer before them that is of their type. */
  readonly numKvSharedLayers: number;
  /** Values of a token that each layer is given; 0: layers are given none. */
  readonly hiddenSizePerLayerInput: number;
  /** Rows of the table of these values; 0: there is none, and they are made of the tokens' embeddings alone. */
  readonly vocabSizePerLayerInput: number;
  readonly rmsNormEps: number;
  readonly maxPositionEmbeddings: number;
  readonly finalLogitSoftcap: number | null;
  /** A local layer's query sees itself and `slidingWindow - 1` tokens before it, and as many after it where tokens see each other. */
  readonly slidingWindow: number;
  readonly layerTypes: readonly LayerType[];
  /** Of global layers. */
  readonly ropeTheta: number;
  readonly ropeLocalTheta: number;
  /** Share of a global layer's pairs that turn: the first ones. */
  readonly partialRotaryFactor: number;
  readonly padTokenId: number;
  readonly bosTokenId: number;
  readonly eosTokenIds: readonly number[];
}

/** The config itself, when its numbers can be a Gemma 4's. @throws ConfigError naming the field */
export function checkGemma4Config(config: Gemma4Config): Gemma4Config {
  const { hiddenSizePerLayerInput, vocabSizePerLayerInput: rows } = checkGemma4Blocks(config);
  if (hiddenSizePerLayerInput > 0 && rows === 0)
    throw new ConfigError('vocabSizePerLayerInput', rows, 'but in a Gemma 4 layers have inputs of a table');
  return config;
}

/** The config itself, when its numbers can be those of a model of such blocks. @throws ConfigError naming the field */
export function checkGemma4Blocks(config: Gemma4Config): Gemma4Config {
  for (const field of [
    'vocabSize',
    'hiddenSize',
    'intermediateSize',
    'numLayers',
    'numHeads',
    'numKvHeads',
    'numGlobalKvHeads',
    'headDim',
    'globalHeadDim',
    'maxPositionEmbeddings',
    'slidingWindow',
  ] as const)
    checkSize(field, config[field], largestSize);
  for (const field of ['rmsNormEps', 'ropeTheta', 'ropeLocalTheta'] as const) checkPositive(field, config[field]);
  const { numHeads, numLayers, layerTypes, numKvSharedLayers, finalLogitSoftcap, partialRotaryFactor } = config;
  if (finalLogitSoftcap !== null) checkPositive('finalLogitSoftcap', finalLogitSoftcap);
  for (const field of ['numKvHeads', 'numGlobalKvHeads'] as const)
    if (numHeads % config[field] !== 0)
      throw new ConfigError(field, config[field], `no divisor of the ${numHeads} query heads`);
  for (const field of ['headDim', 'globalHeadDim'] as const)
    if (config[field] % 2 !== 0) throw new ConfigError(field, config[field], 'odd; rotary embedding needs pairs');
  if (!(partialRotaryFactor >= 0 && partialRotaryFactor <= 1))
    throw new ConfigError('partialRotaryFactor', partialRotaryFactor, 'not a share from 0 to 1');
  if (layerTypes.length !== numLayers)
    throw new ConfigError('layerTypes', layerTypes.length, `not one entry for each of ${numLayers} layers`);
  const other = layerTypes.find((type) => type !== 'global' && type !== 'local');
  if (other !== undefined) throw new ConfigError('layerTypes', other, 'not "global" or "local"');
  checkPerLayerInputs(config);
  if (!Number.isSafeInteger(numKvSharedLayers) || numKvSharedLayers < 0 || numKvSharedLayers >= numLayers)
    throw new ConfigError('numKvSharedLayers', numKvSharedLayers, `not a number of layers below ${numLayers}`);
  const own = layerTypes.slice(0, numLayers - numKvSharedLayers);
  const without = layerTypes.slice(numLayers - numKvSharedLayers).find((type) => !own.includes(type));
  if (without !== undefined)
    throw new ConfigError(
      'numKvSharedLayers',
      numKvSharedLayers,
      `but no layer before these is ${without} as they are`,
    );
  return config;
}

function checkPerLayerInputs({
  hiddenSizePerLayerInput: size,
  vocabSizePerLayerInput,
  vocabSize,
  numLayers,
}: Gemma4Config) {
  if (size === 0) return;
  checkSize('hiddenSizePerLayerInput', size, Math.floor(largestSize / numLayers));
  if (vocabSizePerLayerInput === 0) return;
  checkSize('vocabSizePerLayerInput', vocabSizePerLayerInput, largestSize);
  if (vocabSizePerLayerInput < vocabSize)
    throw new ConfigError('vocabSizePerLayerInput', vocabSizePerLayerInput, `but there are ${vocabSize} words`);
}

/** The decoder's layers: local ones see a window; the last ones attend to what earlier ones have computed. */
export function gemma4Layers(config: Gemma4Config): LayerGeometry[] {
  const { layerTypes, numLayers, numHeads, numKvSharedLayers, useDoubleWideMlp } = config;
  const own = layerTypes.slice(0, numLayers - numKvSharedLayers);
  return layerTypes.map((type, index) => {
    const isShared = index >= own.length;
    return {
      numHeads,
      intermediateSize: config.intermediateSize * (isShared && useDoubleWideMlp ? 2 : 1),
      kvFrom: isShared ? own.lastIndexOf(type) : index,
      ...(type === 'local'
        ? {
            numKvHeads: config.numKvHeads,
            headDim: config.headDim,
            window: config.slidingWindow,
            rope: { theta: config.ropeLocalTheta, scalingFactor: 1 },
          }
        : {
            numKvHeads: config.numGlobalKvHeads,
            headDim: config.globalHeadDim,
            window: null,
            rope: {
              theta: config.ropeTheta,
              scalingFactor: 1,
              rotatedPairs: Math.floor((config.partialRotaryFactor * config.globalHeadDim) / 2),
            },
          }),
    };
  });
}

/** Whether a layer has a projection for its values: not where its keys are its values. */
export function hasValueProjection({ attentionKEqV, layerTypes }: Gemma4Config, layer: number): boolean {
  return !(attentionKEqV && layerTypes[layer] === 'global');
}

/** Whether there is a table of what layers are given of each word. */
export function hasPerLayerTable({ hiddenSizePerLayerInput, vocabSizePerLayerInput }: Gemma4Config): boolean {
  return hiddenSizePerLayerInput > 0 && vocabSizePerLayerInput > 0;
}
