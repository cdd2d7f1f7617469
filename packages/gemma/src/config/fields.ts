import type { GemmaConfig, LayerType } from './gemma-config.js';
import { ConfigError } from './errors.js';

export type Fields = Readonly<Record<string, unknown>>;

/** Sizes above this are no model but a broken file; it also keeps every product of two sizes a safe integer. */
const largestSize = 2 ** 26;
const largestLayerCount = 4096;

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A number, or `fallback` where the field is absent or null. */
export function readNumber(fields: Fields, field: string, fallback: number): number {
  const value = fields[field];
  if (value === undefined || value === null) return fallback;
  if (typeof value !== 'number' || !Number.isFinite(value)) throw new ConfigError(field, value, 'not a finite number');
  return value;
}

/** A number, or null where the field is null; `fallback` only where it is absent. */
export function readNullable(fields: Fields, field: string, fallback: number | null): number | null {
  return fields[field] === null ? null : fields[field] === undefined ? fallback : readNumber(fields, field, 0);
}

/** `count` layers of which every `period`-th is global. */
export function everyNthGlobal(count: number, period: number): LayerType[] {
  if (!Number.isSafeInteger(count) || count < 1 || count > largestLayerCount) {
    throw new ConfigError('number of layers', count, `not an integer from 1 to ${largestLayerCount}`);
  }
  if (!Number.isSafeInteger(period) || period < 1) {
    throw new ConfigError('sliding_window_pattern', period, 'not a positive integer');
  }
  return Array.from({ length: count }, (_, i) => ((i + 1) % period === 0 ? 'global' : 'local'));
}

/** The config itself, when its numbers can be a model's. @throws {ConfigError} naming the field. */
export function checkConfig(config: GemmaConfig): GemmaConfig {
  const sizes = [
    'vocabSize',
    'hiddenSize',
    'intermediateSize',
    'numLayers',
    'numHeads',
    'numKvHeads',
    'headDim',
  ] as const;
  for (const field of [...sizes, 'maxPositionEmbeddings'] as const) {
    const value = config[field];
    if (!Number.isSafeInteger(value) || value < 1 || value > largestSize) {
      throw new ConfigError(field, value, `not an integer from 1 to ${largestSize}`);
    }
  }
  for (const field of [
    'rmsNormEps',
    'queryPreAttnScalar',
    'ropeTheta',
    'ropeLocalTheta',
    'ropeScalingFactor',
  ] as const) {
    if (!(Number.isFinite(config[field]) && config[field] > 0)) {
      throw new ConfigError(field, config[field], 'not a positive number');
    }
  }
  for (const field of ['attnLogitSoftcap', 'finalLogitSoftcap', 'slidingWindow'] as const) {
    const value = config[field];
    if (value !== null && !(Number.isFinite(value) && value > 0)) {
      throw new ConfigError(field, value, 'not a positive number');
    }
  }
  if (config.numHeads % config.numKvHeads !== 0) {
    throw new ConfigError('numKvHeads', config.numKvHeads, `no divisor of the ${config.numHeads} query heads`);
  }
  if (config.headDim % 2 !== 0) throw new ConfigError('headDim', config.headDim, 'odd; rotary embedding needs pairs');
  if (config.layerTypes.length !== config.numLayers) {
    throw new ConfigError(
      'layerTypes',
      config.layerTypes.length,
      `not one entry for each of ${config.numLayers} layers`,
    );
  }
  if (config.slidingWindow === null && config.layerTypes.includes('local')) {
    throw new ConfigError('slidingWindow', null, 'but some layers are local');
  }
  return config;
}
