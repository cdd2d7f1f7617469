import type { JsonValue } from '@lapidary/weights';
import * as v from 'valibot';

// Each rule's message is what the user reads after "allowed:".

/** A rule in JSON Schema. */
export interface JsonRule {
  readonly [keyword: string]: JsonValue | JsonRule | readonly JsonRule[];
}

/** What a JSON Schema says of rules; those that no JSON can meet have none. */
const jsonRules = new WeakMap<object, JsonRule>();

/** The rule, told to JSON Schema as this. */
export function inJson<S extends v.GenericSchema>(schema: S, rule: JsonRule): S {
  jsonRules.set(schema, rule);
  return schema;
}

/** See `inJson`. */
export const jsonRuleOf = (schema: object): JsonRule | undefined => jsonRules.get(schema);

const quote = (choices: readonly string[]) => choices.map((choice) => `'${choice}'`).join(', ');

export function integer(min: number, max = Number.MAX_SAFE_INTEGER): v.GenericSchema<number> {
  const range =
    max === Number.MAX_SAFE_INTEGER ? `a whole number, ${min} or more` : `a whole number from ${min} to ${max}`;
  const rule = v.custom<number>(
    (value) => Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max,
    range,
  );
  return inJson(rule, { type: 'integer', minimum: min, ...(max !== Number.MAX_SAFE_INTEGER && { maximum: max }) });
}

interface Bounds {
  readonly min?: number;
  readonly above?: number;
  readonly below?: number;
}

export function real({ min, above, below }: Bounds): v.GenericSchema<number> {
  const parts = [
    min !== undefined && `${min} or more`,
    above !== undefined && `above ${above}`,
    below !== undefined && `below ${below}`,
  ];
  const fits = (value: number) =>
    (min === undefined || value >= min) &&
    (above === undefined || value > above) &&
    (below === undefined || value < below);
  const rule = v.custom<number>(
    (value) => typeof value === 'number' && Number.isFinite(value) && fits(value),
    `a number ${parts.filter(Boolean).join(' and ')}`,
  );
  return inJson(rule, {
    type: 'number',
    ...(min !== undefined && { minimum: min }),
    ...(above !== undefined && { exclusiveMinimum: above }),
    ...(below !== undefined && { exclusiveMaximum: below }),
  });
}

export function choice<const T extends readonly string[]>(choices: T): v.GenericSchema<T[number]> {
  const rule = v.custom<T[number]>((value) => choices.includes(value as string), `one of ${quote(choices)}`);
  return inJson(rule, { enum: [...choices] });
}

export const flag: v.GenericSchema<boolean> = inJson(
  v.custom<boolean>((value) => typeof value === 'boolean', 'true or false'),
  { type: 'boolean' },
);

/** An object whose fields are not known here. */
export function jsonObject(allowed: string): v.GenericSchema<Readonly<Record<string, unknown>>> {
  const rule = v.custom<Readonly<Record<string, unknown>>>(
    (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
    allowed,
  );
  return inJson(rule, { type: 'object' });
}

export function text(pattern = /\S/, allowed = 'a text that is not empty'): v.GenericSchema<string> {
  const rule = v.custom<string>((value) => typeof value === 'string' && pattern.test(value), allowed);
  return inJson(rule, { type: 'string', pattern: pattern.source });
}

/** A list whose elements all pass `test`; `items` says it in JSON Schema. */
export function listOf<T>(
  test: (value: unknown) => boolean,
  allowed: string,
  { minLength = 0, items }: { readonly minLength?: number; readonly items: JsonRule },
): v.GenericSchema<readonly T[]> {
  const rule = v.custom<readonly T[]>(
    (value) => Array.isArray(value) && value.length >= minLength && value.every(test),
    allowed,
  );
  return inJson(rule, { type: 'array', items, ...(minLength > 0 && { minItems: minLength }) });
}

/** A schema with a default for `undefined`. */
export function withDefault<T>(schema: v.GenericSchema<T>, fallback: T): v.OptionalSchema<v.GenericSchema<T>, () => T> {
  return v.optional(schema, () => fallback);
}

/** A schema that also takes null, which is the default. */
export function orNull<T>(schema: v.GenericSchema<T>): v.OptionalSchema<v.GenericSchema<T | null>, () => T | null> {
  const nullable = v.custom<T | null>(
    (value) => value === null || v.is(schema, value),
    `null, or ${messageOf(schema)}`,
  );
  const rule = jsonRuleOf(schema);
  return withDefault<T | null>(rule ? inJson(nullable, { anyOf: [rule, { type: 'null' }] }) : nullable, null);
}

/** What a rule allows. */
export function messageOf(schema: v.GenericSchema<unknown>): string {
  return String((schema as unknown as { message?: unknown }).message ?? 'a value');
}
