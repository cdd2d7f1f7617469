import { familyOf } from './find-family.js';
import type { Model, ModelConfig, ModelFamily } from './family.js';
import { embeddinggemma } from './embeddinggemma/family.js';
import { embeddinggemma2 } from './embeddinggemma2/family.js';
import { gemma1, gemma2, gemma3 } from './gemma/family.js';
import { gemma3Vision } from './gemma3-vision/family.js';
import { gemma4 } from './gemma4/family.js';
import { paligemma } from './paligemma/family.js';

// The families there are. To add one is to add a folder and list it here; `index.ts` says what it offers by itself.

const known = [gemma1, gemma2, gemma3, gemma4, embeddinggemma, embeddinggemma2, gemma3Vision, paligemma] as const;
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

/** The model of a configuration. @throws UnknownModelError; ConfigError naming the field, where its values can be no model's */
export function modelOf<C extends ModelConfig>(config: C, among: readonly ModelFamily[] = families): Model<C> {
  // A family describes configurations of its own kind only, which the id has said.
  return familyOf(config, among).describe(config) as Model<C>;
}
