import { distance } from 'fastest-levenshtein';
import * as v from 'valibot';
import type { ConfigProblem } from '../errors/errors.js';
import { otherNames } from './other-names.js';

/** A value as short text: `'cosin'`, `-1`, `nothing`, `a list of 3`, `an object with open`. */
export function describeValue(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (typeof value === 'string') return `'${value.length > 40 ? `${value.slice(0, 40)}…` : value}'`;
  if (typeof value === 'function') return 'a function';
  if (value instanceof RegExp || typeof value === 'bigint') return String(value);
  if (Array.isArray(value)) {
    // Of lists in lists only how many: they may be deep without end.
    const json = value.length <= 8 && value.every(isPlain) ? JSON.stringify(value) : '';
    return json !== '' && json.length <= 40 ? json : `a list of ${value.length}`;
  }
  if (typeof value === 'object' && value !== null) {
    const keys = Object.keys(value);
    return keys.length === 0 ? '{}' : `an object with ${keys.slice(0, 4).join(', ')}${keys.length > 4 ? ', …' : ''}`;
  }
  return String(value);
}

const isPlain = (value: unknown) => value === null || ['string', 'number', 'boolean'].includes(typeof value);

/** The problems that a schema finds, fields that it does not know included. Its messages say what is allowed. */
export function findProblems(schema: v.GenericSchema, input: unknown): ConfigProblem[] {
  const result = v.safeParse(schema, input);
  const issues = result.success ? [] : result.issues.map((issue) => problemOf(issue, schema));
  return [...issues, ...findUnknownFields(schema, input, '', pathsOf(schema))];
}

function problemOf(issue: v.BaseIssue<unknown>, schema: v.GenericSchema): ConfigProblem {
  const path = issue.path?.map((item) => String(item.key)) ?? [];
  // What belongs in a field that is missing stands in the field's own schema; valibot reports the object around it.
  let field: unknown = schema;
  let value: unknown = issue.path?.[0]?.input;
  for (const key of path) {
    field = unwrap(field, value)?.entries?.[key];
    value = (value as Record<string, unknown> | null | undefined)?.[key];
  }
  const message = unwrap(field, value)?.message;
  const own = typeof message === 'string' ? message : undefined;
  const allowed = own ?? (issue.message.startsWith('Invalid') ? 'an object' : issue.message);
  return { path: path.join('.'), found: describeValue(issue.input), allowed };
}

function findUnknownFields(schema: unknown, input: unknown, prefix: string, all: readonly string[]): ConfigProblem[] {
  const parts = unwrap(schema, input);
  if (Array.isArray(input)) {
    const { item } = parts ?? {};
    return item === undefined ? [] : input.flatMap((value, i) => findUnknownFields(item, value, `${prefix}${i}.`, all));
  }
  const entries = parts?.entries;
  if (!entries || typeof input !== 'object' || input === null) return [];
  return Object.entries(input).flatMap(([key, value]) => {
    const path = prefix + key;
    if (Object.hasOwn(entries, key)) return findUnknownFields(entries[key], value, `${path}.`, all);
    if (value === undefined) return [];
    const near = closest(key, Object.keys(entries)) ?? elsewhere(path, all);
    const whose = parts.chosen === undefined ? '' : ` of ${parts.chosen}`;
    const allowed = near
      ? `no such field; did you mean \`${near}\`?`
      : `no such field${whose}; there are ${Object.keys(entries).join(', ')}`;
    return [{ path, found: describeValue(value), allowed }];
  });
}

/** Letters and digits of a name: `learning_rate` and `learningRate` are alike. */
const plain = (name: string) => name.toLowerCase().replace(/[^a-z0-9]/g, '');

/** The field of another object, or of another name, that is meant: `optimizer.learningRate` for `lr`. */
function elsewhere(wrong: string, all: readonly string[]): string | undefined {
  const name = plain(wrong.split('.').at(-1)!);
  const named = Object.hasOwn(otherNames, name) ? otherNames[name] : undefined;
  const others = all.filter((path) => path !== wrong);
  return (
    others.find((path) => path === named) ??
    others.find((path) => [path.split('.').at(-1)!, path].map(plain).includes(name))
  );
}

/** Paths of all fields that there are, those of every option of a `variant` included. */
function pathsOf(schema: unknown, prefix = ''): string[] {
  let inner = schema as SchemaParts | undefined;
  while (inner?.wrapped) inner = inner.wrapped as SchemaParts;
  const shapes = (inner?.options as readonly SchemaParts[] | undefined) ?? [inner ?? {}];
  const paths = shapes.flatMap(({ entries = {} }) =>
    Object.entries(entries).flatMap(([key, field]) => [prefix + key, ...pathsOf(field, `${prefix}${key}.`)]),
  );
  return [...new Set(paths)];
}

interface SchemaParts {
  readonly entries?: Record<string, unknown>;
  readonly wrapped?: unknown;
  readonly message?: unknown;
  /** Of a list: the schema of its elements. */
  readonly item?: unknown;
  /** Of a `variant`: the option that was chosen, as text. */
  readonly chosen?: string;
  /** Of a `variant`: the field that tells its options apart, and these. */
  readonly key?: string;
  readonly options?: readonly unknown[];
}

/**
 * The schema inside `optional` and `nullable`; of a `variant` the option that the input chooses. An input that chooses none has no
 * entries: valibot reports the field that should have chosen, and that is the only problem.
 */
function unwrap(schema: unknown, input: unknown): SchemaParts | undefined {
  let inner = schema as SchemaParts | undefined;
  while (inner?.wrapped) inner = inner.wrapped as SchemaParts;
  const { key, options } = inner ?? {};
  if (key === undefined || options === undefined || typeof input !== 'object' || input === null) return inner;
  const chosen = (options as readonly SchemaParts[]).find(({ entries }) =>
    v.is(entries![key] as v.GenericSchema, (input as Record<string, unknown>)[key]),
  );
  if (chosen === undefined) return inner;
  const named = (input as Record<string, unknown>)[key];
  return { ...chosen, ...(typeof named === 'string' && { chosen: `'${named}'` }) };
}

/** The candidate most like `word`, if it is like enough to be what was meant. */
export function closest(word: string, candidates: readonly string[]): string | null {
  const scored = candidates.map((candidate) => ({
    candidate,
    away: distance(word.toLowerCase(), candidate.toLowerCase()),
  }));
  scored.sort((a, b) => a.away - b.away);
  const best = scored[0];
  return best && best.away <= Math.max(1, Math.floor(best.candidate.length / 3)) ? best.candidate : null;
}
