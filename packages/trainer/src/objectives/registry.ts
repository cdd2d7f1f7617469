import * as v from 'valibot';
import { choice, withDefault } from '../config/rules.js';
import { completion } from './completion/completion.js';
import type { Objective } from './objective.js';

/** Every objective that a config can name; the first is the default. */
export const objectives = [completion] as const satisfies readonly Objective[];

type Registered = (typeof objectives)[number];
type SettingsOf<O> = O extends { readonly settings: infer E extends v.ObjectEntries }
  ? v.InferOutput<v.ObjectSchema<E, undefined>>
  : never;

/** What a config says of its objective: `type`, and that objective's settings. */
export type ObjectiveConfig = {
  readonly [O in Registered as O['type']]: Readonly<{ type: O['type'] } & SettingsOf<O>>;
}[Registered['type']];

/** The objective of a config. */
export function objectiveOf(config: Pick<ObjectiveConfig, 'type'>): Objective {
  const [first] = objectives;
  return objectives.find(({ type }) => type === config.type) ?? first;
}

/** Checks `objective` of a config. */
export const objectiveSchema = v.object(
  {
    type: withDefault(choice(objectives.map(({ type }) => type)), objectives[0].type),
    ...completion.settings,
  },
  'an object: { type, labelSmoothing }',
);
