import * as v from 'valibot';
import { ConfigError } from '../errors/errors.js';
import { describeValue } from './find-problems.js';

/** A value that a config chooses by its type, with settings of its own. */
export interface TypedValue {
  readonly type: string;
  /** Fields beside `type`, each with its default. */
  readonly settings: v.ObjectEntries;
}

/**
 * A field of a config whose `type` says which of these values is meant, and so which other fields it may have; the first is the default.
 * `common`: fields that all of them have, before and after their own. `findProblems` finds unknown fields, since it follows `variant`
 * schemas to the option that the input chooses.
 */
export function typedSchema(
  values: readonly TypedValue[],
  common: { readonly before?: v.ObjectEntries; readonly after?: v.ObjectEntries } = {},
): v.GenericSchema<unknown, { readonly type: string }> {
  const entriesOf = ({ settings }: TypedValue) => ({ ...common.before, ...settings, ...common.after });
  const described = (value: TypedValue) => `an object: { ${['type', ...Object.keys(entriesOf(value))].join(', ')} }`;
  const [first] = values as readonly [TypedValue];
  const options = values.map((value) => {
    const named = v.literal(value.type);
    const type = value === first ? v.optional(named, value.type) : named;
    return v.object({ type, ...entriesOf(value) }, described(value));
  });
  const types = values.map(({ type }) => `'${type}'`).join(', ');
  // valibot reports the type that is not known, or what is no object at all.
  return v.variant('type', options, (issue) => (issue.path ? `one of ${types}` : described(first)));
}

/** The value of this type, for configs that no schema has checked. @throws ConfigError for a type that is none */
export function ofType<T extends { readonly type: string }>(values: readonly T[], type: string, field: string): T {
  const found = values.find((value) => value.type === type);
  if (found !== undefined) return found;
  const allowed = `one of ${values.map((value) => `'${value.type}'`).join(', ')}`;
  throw new ConfigError({ problems: [{ path: `${field}.type`, found: describeValue(type), allowed }] });
}
