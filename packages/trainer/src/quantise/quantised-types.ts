import type { Model } from '@lapidary/gemma';
import { dtypeInfo, isQuantised, type DType } from '@lapidary/kernels';
import { ConfigError } from '../errors/errors.js';

/** What the frozen matrices of a base can become while they are read. */
export const quantizeTypes = ['q8_0', 'q4_0', 'nf4'] as const;
export type QuantizeType = (typeof quantizeTypes)[number];

/** Which parameters of a base are quantised. */
export interface QuantisedOptions {
  readonly quantize: QuantizeType | null;
  /** As what a parameter is read. */
  readonly storedOf: (path: string) => DType;
  /** Whether nothing changes it. Default: so it is with all. */
  readonly isFrozen?: (path: string) => boolean;
}

/**
 * As what parameters of a model are kept that are quantised while they are read, by path: frozen linears whose rows are whole blocks, and
 * the table of words, with 8 bits in any case: the output projection is the same.
 * @throws ConfigError where there is none, or the base is in blocks already
 */
export function quantisedTypes(
  { params, embeddingPath }: Pick<Model, 'params' | 'embeddingPath'>,
  { quantize, storedOf, isFrozen = () => true }: QuantisedOptions,
): ReadonlyMap<string, QuantizeType> {
  const types = new Map<string, QuantizeType>();
  if (quantize === null) return types;
  for (const { path, shape, role } of params) {
    const isTable = path === embeddingPath;
    if ((role !== 'linear' && !isTable) || !isFrozen(path)) continue;
    const stored = storedOf(path);
    if (isQuantised(stored)) throw refused(quantize, `a base that is quantised already (${path} is ${stored})`);
    const type = isTable ? 'q8_0' : quantize;
    if ((shape.at(-1) ?? 0) % dtypeInfo[type].blockSize === 0) types.set(path, type);
  }
  if (types.size === 0) throw refused(quantize, 'a base none of whose frozen matrices has rows of whole blocks');
  return types;
}

function refused(quantize: QuantizeType, found: string): ConfigError {
  const allowed = 'null: the weights are then used as they are in the file';
  return new ConfigError({ problems: [{ path: 'quantize', found: `'${quantize}' with ${found}`, allowed }] });
}
