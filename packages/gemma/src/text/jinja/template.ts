import { JsonFloat } from '../json-float.js';
import { checkField, Evaluator } from './evaluate.js';
import type { Body } from './nodes.js';
import { parseTemplate } from './parser.js';
import { Scope } from './scope.js';
import { strftime } from './strftime.js';
import {
  bind,
  Callable,
  Dict,
  type Given,
  itemsOf,
  List,
  Namespace,
  Range,
  str,
  Undefined,
  type Value,
} from './values.js';

/** Jinja source of more characters is not read; real templates have some thousands. */
const longestSource = 2 ** 20;
/** What a template may do: so many expressions, more for a longer conversation. */
const leastWork = 50_000;
const workPerMessage = 500;

export interface Rendered {
  readonly text: string;
  /** Parts of the text in `{% generation %}`. */
  readonly generated: readonly (readonly [from: number, to: number])[];
}
export interface TemplateValues {
  readonly messages: readonly object[];
  readonly [name: string]: unknown;
}

/**
 * A Jinja template that was read; it renders as in Python, with transformers' settings.
 * @throws Error for what is no Jinja, not supported, or too long; when it renders, also for what fails in Python or takes too much
 */
export function readTemplate(source: string): (values: TemplateValues) => Rendered {
  if (source.length > longestSource)
    throw new Error(`it has ${source.length} characters; at most ${longestSource} are read`);
  const body: Body = parseTemplate(source);
  return (values) => {
    const characters = JSON.stringify([values.messages, values['tools']]).length;
    const globals = new Scope();
    for (const [name, value] of Object.entries({ ...functions, ...values })) globals.set(name, pythonValue(value));
    const most = leastWork + workPerMessage * values.messages.length + characters;
    return new Evaluator(most).render(body, new Scope(globals));
  };
}

/** A value of JSON, or a function. @throws Error for what is none, and numbers that JavaScript does not hold exactly */
function pythonValue(value: unknown): Value {
  if (value instanceof Callable) return value;
  if (value instanceof JsonFloat) return value.value;
  if (typeof value === 'string' || typeof value === 'boolean' || value === null) return value;
  if (typeof value === 'number') {
    if (!Number.isInteger(value)) return value;
    if (Number.isSafeInteger(value)) return BigInt(value);
    throw new Error(
      `a message or tool has the whole number ${value}, which JavaScript does not hold exactly: write it as a text`,
    );
  }
  if (Array.isArray(value)) return new List(value.map(pythonValue));
  if (typeof value !== 'object') throw new Error(`a message or tool has a ${typeof value}, which is no JSON`);
  const entries = Object.entries(value).filter(([, each]) => each !== undefined);
  // JavaScript puts such fields first, whatever the order they were written in.
  const reordered = entries.length > 1 ? entries.find(([key]) => /^(0|[1-9]\d{0,9})$/.test(key))?.[0] : undefined;
  return new Dict(
    entries.map(([key, each]) => [key, pythonValue(each)] as const),
    reordered,
  );
}

/** `dict(…)`: of an object or of pairs, and of what is named. */
function dictOf({ args, named }: Given): Dict {
  const [from] = bind({ args, named: new Map() }, ['(from)']);
  if (from instanceof Undefined) throw new Error(`it makes an object of ${from.what}, which is not defined`);
  const pairs = from instanceof Dict ? from.entries() : from === undefined ? [] : itemsOf(from).map(pairOf);
  return new Dict([...pairs, ...named]);
}
function pairOf(value: Value): readonly [Value, Value] {
  const [key, entry, ...more] = itemsOf(value);
  if (key === undefined || entry === undefined || more.length > 0)
    throw new Error('it makes an object of what are no pairs');
  return [key, entry];
}

function namespaceOf(given: Given): Namespace {
  const fields = new Map<string, Value>();
  for (const [key, value] of dictOf(given).entries()) {
    if (typeof key !== 'string') throw new Error('it gives a namespace a field whose name is no text');
    checkField(key);
    fields.set(key, value);
  }
  return new Namespace(fields);
}

function rangeOf(given: Given): Range {
  const bounds = bind(given, ['(start)', '(stop)', '(step)'], 1).filter((each) => each !== undefined);
  const [first = 0n, second, step = 1n] = bounds.map((each) => {
    if (typeof each !== 'bigint' && typeof each !== 'boolean')
      throw new Error(`it counts to ${str(each)}, no whole number`);
    return BigInt(each);
  });
  return second === undefined ? new Range(0n, first, 1n) : new Range(first, second, step);
}

const textArgument = (given: Given, name: string) => str(bind(given, [name], 1)[0]!);
const functions: Readonly<Record<string, Callable>> = {
  dict: new Callable('dict', dictOf),
  namespace: new Callable('namespace', namespaceOf),
  range: new Callable('range', rangeOf),
  strftime_now: new Callable('strftime_now', (given) => strftime(textArgument(given, 'format'), new Date())),
  raise_exception: new Callable('raise_exception', (given) => {
    throw new Error(textArgument(given, 'message'));
  }),
};
