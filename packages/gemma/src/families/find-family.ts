import { UnknownModelError } from '../config/errors.js';
import type { ModelConfig, ModelFamily } from './family.js';

/** The family of a configuration. `among`: the families that count. @throws UnknownModelError */
export function familyOf(config: ModelConfig, among: readonly ModelFamily[]): ModelFamily {
  // Callers without types may hand over nothing at all.
  const family = String((config as ModelConfig | undefined | null)?.family);
  const found = among.find(({ id }) => id === family);
  if (found === undefined)
    throw new UnknownModelError(
      family,
      among.map(({ id }) => id),
      'The configuration',
    );
  return found;
}

/** The family of a config.json, by its `model_type`. @throws UnknownModelError that lists the types which are known */
export function familyOfHf(modelType: string, among: readonly ModelFamily[]): ModelFamily {
  const found = among.find(({ hf }) => hf?.modelTypes.includes(modelType));
  if (found === undefined)
    throw new UnknownModelError(
      modelType,
      among.flatMap(({ hf }) => hf?.modelTypes ?? []),
    );
  return found;
}

/** The family of a GGUF, by its `general.architecture`. @throws UnknownModelError that lists the architectures which are known */
export function familyOfGguf(architecture: string, among: readonly ModelFamily[]): ModelFamily {
  const found = among.find(({ gguf }) => gguf?.architectures.includes(architecture));
  if (found === undefined)
    throw new UnknownModelError(
      architecture,
      among.flatMap(({ gguf }) => gguf?.architectures ?? []),
      'The GGUF header',
    );
  return found;
}

/** The family whose weights come as an npz; undefined where there is none. */
export function familyOfNpz(among: readonly ModelFamily[]): ModelFamily | undefined {
  return among.find(({ npz }) => npz !== undefined);
}
