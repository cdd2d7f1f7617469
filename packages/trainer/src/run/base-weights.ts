import type { BaseWeights, OpenedWeights } from '@lapidary/weights';
import { BaseMismatchError } from '../errors/errors.js';
import { fingerprintWeights } from './fingerprint.js';

/** What was read of a base: hashes of parameters by path, as `fingerprintWeights` makes them, and their types. */
export interface ReadBase {
  readonly format: BaseWeights['format'];
  readonly hashes: ReadonlyMap<string, string>;
  readonly dtypeOf: (path: string) => string;
  /** Those that an adapter has in place of the base's. Default: none. */
  readonly isReplaced?: (path: string) => boolean;
}

/** What an adapter over this base says of it. */
export function baseWeightsOf({ format, hashes, dtypeOf, isReplaced = () => false }: ReadBase): BaseWeights {
  const kept = [...hashes].filter(([path]) => !isReplaced(path));
  return {
    format,
    tensors: new Map(kept.map(([path, hash]) => [path, `${dtypeOf(path)} ${hash}`])),
  };
}

/** Reads all of a base for `compareBaseWeights`, where nothing else does. */
export async function readBaseWeights({ model, entries, format, load }: OpenedWeights): Promise<BaseWeights> {
  const dtypeOf = (path: string) => entries.get(path)?.dtype ?? 'f32';
  const targets = new Map(model.params.map(({ path, shape }) => [path, { shape, dtype: dtypeOf(path) }]));
  const sink = fingerprintWeights({ write: () => undefined });
  await load(targets, sink, { allowUnused: /^/ });
  return baseWeightsOf({ format, hashes: sink.hashes(), dtypeOf });
}

/**
 * Compares the base that an adapter was trained over with one that it is put over now.
 * @returns a notice where they are kept in other types or formats, so that their bytes say nothing; null where they are the same
 * @throws BaseMismatchError naming the tensors that differ
 */
export function compareBaseWeights(trained: BaseWeights, now: BaseWeights, adapter: string): string | null {
  const typeOf = (text: string | undefined) => text?.split(' ')[0];
  // Earlier versions hashed otherwise, to fewer digits.
  const kindOf = (text = '') => `${typeOf(text)} ${text.length}`;
  const both = [...trained.tensors].filter(([path]) => now.tensors.has(path));
  const alike = both.filter(([path, text]) => kindOf(text) === kindOf(now.tensors.get(path)));
  // Other formats hold the same values in other ways: norms of a GGUF are one more.
  const differing = alike.filter(([path, text]) => text !== now.tensors.get(path)).map(([path]) => path);
  if (trained.format === now.format && differing.length > 0)
    throw new BaseMismatchError({ adapter, tensors: differing });
  if (trained.format === now.format && alike.length === both.length) return null;
  const kind = ({ format, tensors }: BaseWeights) =>
    `${format} of ${[...new Set([...tensors.values()].map(typeOf))].sort().join(', ')}`;
  return `The adapter ${adapter} was trained over ${kind(trained)}, and this base is ${kind(now)}: whether they are of the same model is not known.`;
}
