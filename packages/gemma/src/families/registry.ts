import { UnknownModelError } from '../config/errors.js';
import type { Model, ModelConfig, ModelFamily } from './family.js';
import { gemma1, gemma2, gemma3 } from './gemma/family.js';
import { paligemma } from './paligemma/family.js';

// The families there are. To add one is to add a folder and list it here; `index.ts` says what it offers by itself.

const known = [gemma1, gemma2, gemma3, paligemma] as const;
type Known = (typeof known)[number];

/** Every family that this package knows. */
export const families: readonly ModelFamily[] = known;

/** A linear that can have a LoRA, by its last name. */
export type LoraTarget = Known['linears'][number];
/** Last names of the linears of all families: of decoders, of vision towers, and what lies between. */
export const loraTargets: readonly LoraTarget[] = [
  ...new Set(known.flatMap(({ linears }): readonly LoraTarget[] => linears)),
];

/** A part of a model; a text model is all `language`. */
export type Tower = Known['towers'][number];
/** Parts that models of all families have. */
export const towers: readonly Tower[] = [...new Set(known.flatMap((family): readonly Tower[] => family.towers))];

/** A way to prepare pictures. */
export type ImagePreset = Extract<Known, { readonly imagePresets: readonly string[] }>['imagePresets'][number];
/** Ways to prepare pictures, of all families. */
export const imagePresets: readonly ImagePreset[] = [
  ...new Set(known.flatMap((family): readonly ImagePreset[] => ('imagePresets' in family ? family.imagePresets : []))),
];

type PresetName<F> = F extends { readonly presets: infer P } ? keyof P & string : never;
/** A released model. */
export type ModelPresetName = PresetName<Known>;
/** The configuration of every released model by name. */
export const modelPresets = Object.assign({}, ...known.map(({ presets }) => presets)) as Readonly<
  Record<ModelPresetName, ModelConfig>
>;

/** The family of a configuration. `among`: the families that count, by default all. @throws UnknownModelError */
export function familyOf({ family }: ModelConfig, among: readonly ModelFamily[] = families): ModelFamily {
  const found = among.find(({ id }) => id === family);
  if (found === undefined)
    throw new UnknownModelError(
      family,
      among.map(({ id }) => id),
      'The configuration',
    );
  return found;
}

/** The model of a configuration. @throws UnknownModelError */
export function modelOf<C extends ModelConfig>(config: C, among: readonly ModelFamily[] = families): Model<C> {
  // A family describes configurations of its own kind only, which the id has said.
  return familyOf(config, among).describe(config) as Model<C>;
}

/** The family of a config.json, by its `model_type`. @throws UnknownModelError that lists the types which are known */
export function familyOfHf(modelType: string, among: readonly ModelFamily[] = families): ModelFamily {
  const found = among.find(({ hf }) => hf?.modelTypes.includes(modelType));
  if (found === undefined)
    throw new UnknownModelError(
      modelType,
      among.flatMap(({ hf }) => hf?.modelTypes ?? []),
    );
  return found;
}

/** The family of a GGUF, by its `general.architecture`. @throws UnknownModelError that lists the architectures which are known */
export function familyOfGguf(architecture: string, among: readonly ModelFamily[] = families): ModelFamily {
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
export function familyOfNpz(among: readonly ModelFamily[] = families): ModelFamily | undefined {
  return among.find(({ npz }) => npz !== undefined);
}
