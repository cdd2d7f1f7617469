import { ConfigError } from '../../config/errors.js';
import { type Fields, isFields, readNumber } from '../../config/fields.js';
import type { GemmaTraits } from './generations.js';

/** How the positions of a layer type turn, as far as a file says. */
interface Rope {
  readonly theta: number | undefined;
  readonly factor: number | undefined;
}

const layerTypes = ['full_attention', 'sliding_attention'] as const;

/**
 * Old files: rope_theta, rope_local_base_freq, rope_scaling. New ones: rope_parameters, by layer type where types turn differently. A file
 * that says both must say the same, and in words that no age of transformers reads as something else: one reads this, another that.
 * @throws ConfigError naming the field
 */
export function readRope(text: Fields, { name, theta, localTheta, hasLocalLayers }: GemmaTraits) {
  const hasLocalBase = localTheta !== null;
  const { full, sliding } = readParameters(text['rope_parameters'], hasLocalBase);
  const scaling = readScaling(text['rope_scaling'], hasLocalBase && full.factor === undefined);
  if (![undefined, null, 1].includes(text['partial_rotary_factor'] as never))
    throw new ConfigError(
      'partial_rotary_factor',
      text['partial_rotary_factor'],
      'but all values of a head are turned',
    );

  const ropeTheta = one('rope_theta', full.theta, stated(text, 'rope_theta')) ?? theta;
  // transformers has read a base in there since version 5 only.
  one('rope_scaling.rope_theta', scaling.theta, ropeTheta);
  const ropeScalingFactor = one('rope_parameters.factor', full.factor, scaling.factor) ?? 1;
  if (!hasLocalBase) {
    if (hasLocalLayers && ropeScalingFactor !== 1)
      throw new ConfigError(
        'rope_scaling',
        text['rope_scaling'] ?? text['rope_parameters'],
        `but ${name} with scaled positions is not supported`,
      );
    return { ropeTheta, ropeLocalTheta: ropeTheta, ropeScalingFactor };
  }
  if ((sliding.factor ?? 1) !== 1)
    throw new ConfigError(
      'rope_parameters.sliding_attention',
      text['rope_parameters'],
      'but local layers use unscaled positions',
    );
  const ropeLocalTheta = one('rope_local_base_freq', sliding.theta, stated(text, 'rope_local_base_freq')) ?? localTheta;
  return { ropeTheta, ropeLocalTheta, ropeScalingFactor };
}

const nothing: Rope = { theta: undefined, factor: undefined };

/** One object for all layers, or one for each layer type where these have bases of their own. */
function readParameters(value: unknown, isByLayerType: boolean): { full: Rope; sliding: Rope } {
  const field = 'rope_parameters';
  if (value === undefined || value === null) return { full: nothing, sliding: nothing };
  if (!isFields(value)) throw new ConfigError(field, value, 'not an object');
  if (!isByLayerType) return { full: readOne(value, field), sliding: nothing };
  for (const key of Object.keys(value)) {
    if (!layerTypes.includes(key as never))
      throw new ConfigError(`${field}.${key}`, value[key], 'but full_attention and sliding_attention are wanted');
  }
  const [full, sliding] = layerTypes.map((type) => {
    const entry = value[type];
    if (entry === undefined || entry === null) return nothing;
    if (!isFields(entry)) throw new ConfigError(`${field}.${type}`, entry, 'not an object');
    return readOne(entry, `${field}.${type}`);
  }) as [Rope, Rope];
  return { full, sliding };
}

/** @param mustBeNew where transformers takes `type` for no scaling, or for an error, so that only `rope_type` will do */
function readScaling(value: unknown, mustBeNew: boolean): Rope {
  const field = 'rope_scaling';
  if (value === undefined || value === null) return nothing;
  if (!isFields(value)) throw new ConfigError(field, value, 'not an object');
  const { rope_type: type, type: oldType = 'default' } = value;
  if (mustBeNew && type === undefined && oldType !== 'default')
    throw new ConfigError(`${field}.type`, oldType, 'which transformers does not read here: call the field rope_type');
  return readOne(value, field);
}

function readOne(rope: Fields, where: string): Rope {
  const { rope_type: newType, type: oldType } = rope;
  const type = newType === undefined ? oldType : newType;
  if (type !== undefined && type !== 'default' && type !== 'linear')
    throw new ConfigError(`${where}.rope_type`, type, 'neither default nor linear');
  if (oldType !== undefined && oldType !== type)
    throw new ConfigError(`${where}.type`, oldType, `but rope_type is ${type}`);
  // Only other types ask for what a model's longest text was before.
  const known = ['rope_type', 'type', 'rope_theta', 'factor', 'original_max_position_embeddings'];
  for (const [key, value] of Object.entries(rope)) {
    const isWhole = key === 'partial_rotary_factor' && value === 1;
    if (!known.includes(key) && !isWhole && value !== null)
      throw new ConfigError(`${where}.${key}`, value, 'but what it says of positions is not supported');
  }
  if (type === undefined && (rope['factor'] ?? 1) !== 1)
    throw new ConfigError(`${where}.factor`, rope['factor'], 'but no rope_type says what it does');
  if (type === 'linear' && typeof rope['factor'] !== 'number')
    throw new ConfigError(`${where}.factor`, rope['factor'], 'no number to divide positions by');
  return {
    theta: stated(rope, 'rope_theta'),
    factor: type === undefined ? undefined : type === 'linear' ? readNumber(rope, 'factor', 1) : 1,
  };
}

const stated = (fields: Fields, field: string): number | undefined =>
  fields[field] === undefined || fields[field] === null ? undefined : readNumber(fields, field, 0);

function one(field: string, first: number | undefined, second: number | undefined): number | undefined {
  if (first !== undefined && second !== undefined && first !== second)
    throw new ConfigError(field, first, `but another field of the same file says ${second}`);
  return first ?? second;
}
