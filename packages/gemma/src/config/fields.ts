import { ConfigError } from './errors.js';

/** A JSON object, or a file's metadata: whatever it holds. */
export type Fields = Readonly<Record<string, unknown>>;

/** Whether a value is a JSON object. */
export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Fields that remember which of them were read: what no reader asks for must be known to change nothing. */
export interface WatchedFields {
  readonly fields: Fields;
  /** Names of fields that have a value and were never read. */
  unread(): string[];
}

/** `fields`, watched from now on. */
export function watchFields(fields: Fields): WatchedFields {
  const read = new Set<PropertyKey>();
  const watched = new Proxy(fields, {
    get(target, name) {
      read.add(name);
      return Reflect.get(target, name);
    },
  });
  const unread = () => Object.keys(fields).filter((name) => !read.has(name) && fields[name] !== null);
  return { fields: watched, unread };
}

/** A number, or `fallback` where the field is absent. @throws ConfigError */
export function readNumber(fields: Fields, field: string, fallback: number): number {
  const value = fields[field];
  if (value === undefined) return fallback;
  if (typeof value !== 'number' || !Number.isFinite(value)) throw new ConfigError(field, value, 'not a finite number');
  return value;
}

/** A number, or null where the field is null; `fallback` only where it is absent. @throws ConfigError */
export function readNullable(fields: Fields, field: string, fallback: number | null): number | null {
  return fields[field] === null ? null : fields[field] === undefined ? fallback : readNumber(fields, field, 0);
}

/** What a config.json calls its model. */
export function modelTypeOf(json: Fields): string {
  return typeof json['model_type'] === 'string' ? json['model_type'] : '(no model_type)';
}

/** @throws ConfigError where a value is no integer from 1 to `largest` */
export function checkSize(field: string, value: number, largest: number): void {
  if (!Number.isSafeInteger(value) || value < 1 || value > largest)
    throw new ConfigError(field, value, `not an integer from 1 to ${largest}`);
}

/** @throws ConfigError where a value is no finite number above 0 */
export function checkPositive(field: string, value: number): void {
  if (!(Number.isFinite(value) && value > 0)) throw new ConfigError(field, value, 'not a positive number');
}
