import type * as v from 'valibot';
import { typedSchema, ofType } from '../config/typed-schema.js';
import { completion } from './completion/completion.js';
import type { Objective } from './objective.js';
import { contrastive } from './contrastive/contrastive.js';
import { preference } from './preference/preference.js';

/** Every objective that a config can name; the first is the default. */
export const objectives = [completion, preference, contrastive] as const satisfies readonly Objective[];

type Registered = (typeof objectives)[number];
type SettingsOf<O> = O extends { readonly settings: infer E extends v.ObjectEntries }
  ? v.InferOutput<v.ObjectSchema<E, undefined>>
  : never;

/** What a config says of its objective: `type`, and that objective's settings. */
export type ObjectiveConfig = {
  readonly [O in Registered as O['type']]: Readonly<{ type: O['type'] } & SettingsOf<O>>;
}[Registered['type']];

type InputOf<O extends ObjectiveConfig> = O extends ObjectiveConfig
  ? { readonly [K in Exclude<keyof O, 'type'>]?: O[K] | undefined } & (O['type'] extends (typeof objectives)[0]['type']
      ? { readonly type?: O['type'] | undefined }
      : Pick<O, 'type'>)
  : never;
/** What a user writes: the type, which may be left out for the first objective, and any of its settings. */
export type ObjectiveInput = InputOf<ObjectiveConfig>;

/** The objective of a config. @throws ConfigError for a type that is none */
export function objectiveOf(config: Pick<ObjectiveConfig, 'type'>): Objective {
  return ofType(objectives, config.type, 'objective');
}

/** `objective` of a config. */
export const objectiveSchema = typedSchema(objectives) as v.GenericSchema<ObjectiveInput, ObjectiveConfig>;
