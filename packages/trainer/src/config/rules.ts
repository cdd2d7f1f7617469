import * as v from 'valibot';

// Each rule's message is what the user reads after "allowed:".

const quote = (choices: readonly string[]) => choices.map((choice) => `'${choice}'`).join(', ');

export function integer(min: number, max = Number.MAX_SAFE_INTEGER): v.GenericSchema<number> {
  const range =
    max === Number.MAX_SAFE_INTEGER ? `a whole number, ${min} or more` : `a whole number from ${min} to ${max}`;
  return v.custom<number>(
    (value) => Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max,
    range,
  );
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
  return v.custom<number>(
    (value) => typeof value === 'number' && Number.isFinite(value) && fits(value),
    `a number ${parts.filter(Boolean).join(' and ')}`,
  );
}

export function choice<const T extends readonly string[]>(choices: T): v.GenericSchema<T[number]> {
  return v.custom<T[number]>((value) => choices.includes(value as string), `one of ${quote(choices)}`);
}

export const flag: v.GenericSchema<boolean> = v.custom<boolean>((value) => typeof value === 'boolean', 'true or false');

export function text(pattern = /\S/, allowed = 'a text that is not empty'): v.GenericSchema<string> {
  return v.custom<string>((value) => typeof value === 'string' && pattern.test(value), allowed);
}

/** A list whose elements all pass `test`. */
export function listOf<T>(
  test: (value: unknown) => boolean,
  allowed: string,
  { minLength = 0 } = {},
): v.GenericSchema<readonly T[]> {
  return v.custom<readonly T[]>(
    (value) => Array.isArray(value) && value.length >= minLength && value.every(test),
    allowed,
  );
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
  return withDefault<T | null>(nullable, null);
}

/** What a rule allows. */
export function messageOf(schema: v.GenericSchema<unknown>): string {
  return String((schema as unknown as { message?: unknown }).message ?? 'a value');
}
