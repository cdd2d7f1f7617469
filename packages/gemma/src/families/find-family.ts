import { UnknownModelError } from '../config/errors.js';
import { modelTypeOf } from '../config/fields.js';
import type { ModelConfig, ModelFamily } from './family.js';
import type { HfConfig } from './layout.js';

/** A family whose configurations are read from such files. */
export type FamilyReadFrom<Kind extends 'hf' | 'gguf' | 'npz'> = ModelFamily & Required<Pick<ModelFamily, Kind>>;

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

/**
 * The family of a config.json, by its `model_type`, and by what else it says where families share one.
 * @throws UnknownModelError that lists the types which are known
 */
export function familyOfHf(json: HfConfig, among: readonly ModelFamily[]): FamilyReadFrom<'hf'> {
  const readable = among.filter((family): family is FamilyReadFrom<'hf'> => family.hf !== undefined);
  const modelType = modelTypeOf(json);
  const sharing = readable.filter(({ hf }) => hf.modelTypes.includes(modelType));
  // Where nobody wants it, one of them says why not.
  const found =
    sharing.find(({ hf }) => hf.isOwn?.(json)) ?? sharing.find(({ hf }) => hf.isOwn === undefined) ?? sharing[0];
  if (found === undefined)
    throw new UnknownModelError(
      modelType,
      readable.flatMap(({ hf }) => hf.modelTypes),
    );
  return found;
}

/** The family of a GGUF, by its `general.architecture`. @throws UnknownModelError that lists the architectures which are known */
export function familyOfGguf(architecture: string, among: readonly ModelFamily[]): FamilyReadFrom<'gguf'> {
  const readable = among.filter((family): family is FamilyReadFrom<'gguf'> => family.gguf !== undefined);
  const found = readable.find(({ gguf }) => gguf.architectures.includes(architecture));
  if (found === undefined)
    throw new UnknownModelError(
      architecture,
      readable.flatMap(({ gguf }) => gguf.architectures),
      'The GGUF header',
    );
  return found;
}

/** The families whose weights come as an npz, which says of none that it is the one: each reads the shapes, or throws ArrayShapesError. */
export function familiesOfNpz(among: readonly ModelFamily[]): FamilyReadFrom<'npz'>[] {
  return among.filter((family): family is FamilyReadFrom<'npz'> => family.npz !== undefined);
}
