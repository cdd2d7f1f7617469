import * as v from 'valibot';
import type { ConfigProblem } from '../errors/errors.js';

/** A value as short text: `'cosin'`, `-1`, `nothing`, `a list of 3`, `an object with open`. */
export function describeValue(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (typeof value === 'string') return `'${value.length > 40 ? `${value.slice(0, 40)}…` : value}'`;
  if (typeof value === 'function') return 'a function';
  if (value instanceof RegExp || typeof value === 'bigint') return String(value);
  if (Array.isArray(value)) {
    const json = JSON.stringify(value) ?? '';
    return json.length <= 40 ? json : `a list of ${value.length}`;
  }
  if (typeof value === 'object' && value !== null) {
    const keys = Object.keys(value);
    return keys.length === 0 ? '{}' : `an object with ${keys.slice(0, 4).join(', ')}${keys.length > 4 ? ', …' : ''}`;
  }
  return String(value);
}

/** The problems that a schema finds, fields that it does not know included. Its messages say what is allowed. */
export function findProblems(schema: v.GenericSchema, input: unknown): ConfigProblem[] {
  const result = v.safeParse(schema, input);
  const issues = result.success ? [] : result.issues.map((issue) => problemOf(issue, schema));
  return [...issues, ...findUnknownFields(schema, input, '')];
}

function problemOf(issue: v.BaseIssue<unknown>, schema: v.GenericSchema): ConfigProblem {
  const path = issue.path?.map((item) => String(item.key)) ?? [];
  // What belongs in a field that is missing stands in the field's own schema; valibot reports the object around it.
  const field = unwrap(path.reduce<unknown>((at, key) => unwrap(at)?.entries?.[key], schema));
  const allowed = field?.message ?? (issue.message.startsWith('Invalid') ? 'an object' : issue.message);
  return { path: path.join('.'), found: describeValue(issue.input), allowed: String(allowed) };
}

function findUnknownFields(schema: unknown, input: unknown, prefix: string): ConfigProblem[] {
  const entries = unwrap(schema)?.entries;
  if (!entries || typeof input !== 'object' || input === null || Array.isArray(input)) return [];
  return Object.entries(input).flatMap(([key, value]) => {
    const path = prefix + key;
    if (key in entries) return findUnknownFields(entries[key], value, `${path}.`);
    if (value === undefined) return [];
    const near = closest(key, Object.keys(entries));
    const allowed = near
      ? `no such field; did you mean \`${near}\`?`
      : `no such field; there are ${Object.keys(entries).join(', ')}`;
    return [{ path, found: describeValue(value), allowed }];
  });
}

interface SchemaParts {
  readonly entries?: Record<string, unknown>;
  readonly wrapped?: unknown;
  readonly message?: unknown;
}

/** The schema inside `optional` and `nullable`. */
function unwrap(schema: unknown): SchemaParts | undefined {
  let inner = schema as SchemaParts | undefined;
  while (inner?.wrapped) inner = inner.wrapped as SchemaParts;
  return inner;
}

/** The candidate most like `word`, if it is like enough to be what was meant. */
export function closest(word: string, candidates: readonly string[]): string | null {
  const scored = candidates.map((candidate) => ({
    candidate,
    distance: editDistance(word.toLowerCase(), candidate.toLowerCase()),
  }));
  scored.sort((a, b) => a.distance - b.distance);
  const best = scored[0];
  return best && best.distance <= Math.max(1, Math.floor(best.candidate.length / 3)) ? best.candidate : null;
}

/** Levenshtein's. */
export function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length]!;
}
