import type { JsonValue } from '@lapidary/weights';
import { type JsonRule, jsonRuleOf } from './rules.js';
import { trainConfigSchema } from './train-config-schema.js';

/** The parts of valibot's schemas that a config has. */
interface Parts {
  readonly type: string;
  readonly entries?: Readonly<Record<string, Parts>>;
  readonly wrapped?: Parts;
  readonly default?: unknown;
  readonly item?: Parts;
  readonly options?: readonly Parts[];
  readonly literal?: string;
}

/**
 * JSON Schema (2020-12) of a config as files hold it: all fields of `TrainConfig` that JSON can say, but for the weight loader.
 * `describe` gives the words for a field, by its path: `optimizer.learningRate`.
 */
export function trainConfigJsonSchema(describe: (path: string) => string | undefined = () => undefined): JsonRule {
  return jsonOf(trainConfigSchema, '', describe) ?? {};
}

function jsonOf(schema: Parts, path: string, describe: (path: string) => string | undefined): JsonRule | undefined {
  const rule = jsonRuleOf(schema) ?? byParts(schema, path, describe);
  const description = describe(path);
  return rule && description !== undefined && rule['description'] === undefined ? { description, ...rule } : rule;
}

function byParts(
  { type, entries, wrapped, default: fallback, item, options, literal }: Parts,
  path: string,
  describe: (path: string) => string | undefined,
): JsonRule | undefined {
  if (wrapped !== undefined) {
    const inner = jsonOf(wrapped, path, describe);
    const given = defaultOf(fallback);
    const rule = inner && (type === 'nullable' ? { anyOf: [inner, { type: 'null' }] } : inner);
    // An object's fields have defaults of their own.
    return rule && given !== undefined && !isEmpty(given) ? { ...rule, default: given } : rule;
  }
  if (options !== undefined) return { anyOf: options.flatMap((option) => jsonOf(option, path, describe) ?? []) };
  if (entries !== undefined) {
    const fields = Object.entries(entries).flatMap(([key, field]) => {
      const rule = jsonOf(field, path === '' ? key : `${path}.${key}`, describe);
      return rule === undefined ? [] : [[key, field, rule] as const];
    });
    const required = fields.filter(([, { wrapped: isOptional }]) => isOptional === undefined).map(([key]) => key);
    return {
      type: 'object',
      properties: Object.fromEntries(fields.map(([key, , rule]) => [key, rule])),
      ...(required.length > 0 && { required }),
      additionalProperties: false,
    };
  }
  if (item !== undefined) return { type: 'array', items: jsonOf(item, path, describe) ?? {} };
  if (literal !== undefined) return { const: literal };
  if (path === 'weightLoader') return undefined;
  throw new RangeError(`JSON Schema is not told what '${path}' may be`);
}

function defaultOf(fallback: unknown): JsonValue | undefined {
  const value: unknown = typeof fallback === 'function' ? (fallback as () => unknown)() : fallback;
  return value as JsonValue | undefined;
}

const isEmpty = (value: JsonValue) => typeof value === 'object' && value !== null && Object.keys(value).length === 0;
