import { countOf, item, joined, replaced, textOf } from './attributes.js';
import { json } from './json.js';
import { round, toFloat, toInt } from './numbers.js';
import { arithmetic, signed } from './operators.js';
import { test } from './tests.js';
import { capitalize, lines, strip, titleFilter } from './text.js';
import {
  bind,
  compare,
  Dict,
  type Given,
  hashOf,
  isNumber,
  isTrue,
  itemsOf,
  Lazy,
  length,
  List,
  Markup,
  orElse,
  str,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from './values.js';

type Filter = (value: Value, given: Given) => Value;

/** Blanks of an indentation, at most. */
const widestIndent = 1000;

/** `soft_str`: anything as a text. */
const soft = (value: Value) => textOf(typeof value === 'string' || value instanceof Markup ? value : str(value));
const ofText =
  (change: (text: string) => Value): Filter =>
  (value, given) => {
    bind(given, []);
    return change(soft(value));
  };
const plain =
  (compute: (value: Value) => Value): Filter =>
  (value, given) => {
    bind(given, []);
    return compute(value);
  };

/** A number of blanks that may be. @throws Error for others */
function blanksOf(value: Value): string {
  const width = Math.max(0, countOf(value));
  if (width > widestIndent) throw new Error(`it indents by ${width}; at most ${widestIndent} are allowed`);
  return ' '.repeat(width);
}

/** What `attribute='a.b'` names of a value; the value itself where it names nothing. */
function getter(path: Value | undefined, otherwise: Value = null): (value: Value) => Value {
  if (path === undefined || path === null) return (value) => value;
  const parts =
    typeof path === 'string' ? path.split('.').map((part) => (/^[0-9]+$/.test(part) ? BigInt(part) : part)) : [path];
  return (value) =>
    parts.reduce<Value>((within, part) => {
      const found = item(within, part);
      return found instanceof Undefined && otherwise !== null ? otherwise : found;
    }, value);
}

/** How values are ordered and told apart: by an attribute, and without regard to case. */
function keyOf(path: Value | undefined, caseSensitive: Value | undefined): (value: Value) => Value {
  const get = getter(path);
  return (value) => {
    const key = get(value);
    return typeof key === 'string' && !isTrue(caseSensitive ?? false) ? key.toLowerCase() : key;
  };
}

function sorted(items: readonly Value[], key: (value: Value) => Value, isReversed: boolean): List {
  const keyed = items.map((value) => ({ value, key: key(value) }));
  keyed.sort((a, b) => compare(a.key, b.key) * (isReversed ? -1 : 1));
  return new List(keyed.map(({ value }) => value));
}

const extreme =
  (sign: 1 | -1): Filter =>
  (value, given) => {
    const [caseSensitive, path] = bind(given, ['case_sensitive', 'attribute']);
    const key = keyOf(path, caseSensitive);
    const items = itemsOf(value);
    if (items.length === 0) return new Undefined('the least or most of nothing');
    return items.reduce((best, each) => (compare(key(each), key(best)) * sign < 0 ? each : best));
  };

/** `select` and its like: those of which a test holds, or does not. */
const chosen =
  (holds: boolean, byAttribute: boolean): Filter =>
  (value, { args, named }) =>
    new Lazy(() => {
      if (!isTrue(value)) return [];
      const [path, name, rest] = byAttribute ? [args[0], args[1], args.slice(2)] : [undefined, args[0], args.slice(1)];
      if (byAttribute && path === undefined) throw new Error('it names no attribute');
      const get = getter(path);
      const given = { args: rest, named };
      return itemsOf(value).filter(
        (each) => (name === undefined ? isTrue(get(each)) : test(textOf(name), get(each), given)) === holds,
      );
    });

const lengthFilter: Filter = plain((value) => BigInt(length(value)));
const defaultFilter: Filter = (value, given) => {
  const [otherwise = '', boolean = false] = bind(given, ['default_value', 'boolean']);
  return value instanceof Undefined || (isTrue(boolean) && !isTrue(value)) ? otherwise : value;
};

const filters: Readonly<Record<string, Filter>> = {
  abs: plain((value) => {
    if (!isNumber(value)) throw new Error(`it takes the absolute value of a ${typeName(value)}`);
    return signed(compare(value, 0n) < 0 || Object.is(value, -0) ? '-' : '+', value);
  }),
  capitalize: ofText(capitalize),
  count: lengthFilter,
  length: lengthFilter,
  default: defaultFilter,
  d: defaultFilter,
  dictsort(value, given) {
    const [caseSensitive, by = 'key', reverse = false] = bind(given, ['case_sensitive', 'by', 'reverse']);
    if (by !== 'key' && by !== 'value') throw new Error("it sorts an object by neither 'key' nor 'value'");
    if (!(value instanceof Dict)) throw new Error(`it sorts the entries of a ${typeName(value)}`);
    const entries = value.unordered().map((entry) => new Tuple(entry));
    return sorted(entries, keyOf(by === 'key' ? 0n : 1n, caseSensitive), isTrue(reverse));
  },
  first: plain((value) => {
    const first = value instanceof Lazy ? value.first() : itemsOf(value)[0];
    return orElse(first, new Undefined('the first of nothing'));
  }),
  last: plain((value) => {
    if (value instanceof Lazy) throw new Error('it takes the last of a generator');
    return orElse(itemsOf(value).at(-1), new Undefined('the last of nothing'));
  }),
  float(value, given) {
    const [otherwise = 0] = bind(given, ['default']);
    checkNumeric(value);
    return toFloat(value, otherwise);
  },
  int(value, given) {
    const [otherwise = 0n, base = 10n] = bind(given, ['default', 'base']);
    if (base !== 10n) throw new Error('it reads a number to another base than 10, which is not supported');
    checkNumeric(value);
    return toInt(value, otherwise);
  },
  indent(value, given) {
    const [width = 4n, first = false, blank = false] = bind(given, ['width', 'first', 'blank']);
    const by = typeof width === 'string' ? width : blanksOf(width);
    if (by.length > widestIndent) throw new Error(`it indents by ${by.length}; at most ${widestIndent} are allowed`);
    const all = lines(`${textOf(value)}\n`);
    const indented = all.map((line, i) => (i > 0 && (isTrue(blank) || line !== '') ? by + line : line));
    return joined('\n', isTrue(first) ? [by + indented[0]!, ...indented.slice(1)] : indented);
  },
  items: plain((value) => {
    if (!(value instanceof Dict || value instanceof Undefined))
      return new Lazy(() => {
        throw new Error(`it takes the items of a ${typeName(value)}`);
      });
    return new Lazy(() => (value instanceof Dict ? value.entries().map((entry) => new Tuple(entry)) : []));
  }),
  join(value, given) {
    const [separator = '', path] = bind(given, ['d', 'attribute']);
    return joined(str(separator), itemsOf(value).map(getter(path)).map(str));
  },
  list: plain((value) => new List(itemsOf(value))),
  lower: ofText((text) => text.toLowerCase()),
  upper: ofText((text) => text.toUpperCase()),
  map: (value, { args, named }) =>
    new Lazy(() => {
      if (!isTrue(value)) return [];
      if (args.length === 0) {
        const [path, otherwise] = bind({ args, named }, ['attribute', 'default'], 1);
        return itemsOf(value).map(getter(path, otherwise));
      }
      return itemsOf(value).map((each) => filter(textOf(args[0]!), each, { args: args.slice(1), named }));
    }),
  max: extreme(-1),
  min: extreme(1),
  select: chosen(true, false),
  reject: chosen(false, false),
  selectattr: chosen(true, true),
  rejectattr: chosen(false, true),
  replace(value, given) {
    const [old, by, count = null] = bind(given, ['old', 'new', 'count'], 2);
    return replaced(str(value), [str(old!), str(by!)], count === null ? -1 : countOf(count));
  },
  reverse: plain((value) => {
    if (typeof value === 'string') return Array.from(value).reverse().join('');
    const items = [...itemsOf(value)].reverse();
    return value instanceof Lazy ? new List(items) : new Lazy(() => items);
  }),
  round(value, given) {
    const [precision = 0n, method = 'common'] = bind(given, ['precision', 'method']);
    return round(value, countOf(precision), textOf(method));
  },
  safe: plain((value) => new Markup(str(value))),
  sort(value, given) {
    const [reverse = false, caseSensitive, path] = bind(given, ['reverse', 'case_sensitive', 'attribute']);
    const keys = (typeof path === 'string' ? path.split(',') : [path]).map((each) => keyOf(each, caseSensitive));
    return sorted(itemsOf(value), (each) => new List(keys.map((key) => key(each))), isTrue(reverse));
  },
  string: plain((value) => (value instanceof Markup ? value : str(value))),
  sum(value, given) {
    const [path, start = 0n] = bind(given, ['attribute', 'start']);
    if (typeof start === 'string') throw new Error('it adds up texts');
    const items = itemsOf(value).map(getter(path));
    if (items.length > 1 && [start, ...items].some((each) => typeof each === 'number'))
      throw new Error('it adds up floats, which versions of Python do otherwise');
    return items.reduce((sum, each) => arithmetic('+', sum, each), start);
  },
  title: ofText(titleFilter),
  tojson(value, given) {
    const names = ['ensure_ascii', 'indent', 'separators', 'sort_keys'];
    const [ensureAscii = false, indent = null, separators = null, sortKeys = false] = bind(given, names);
    const by = indent === null ? null : typeof indent === 'string' ? indent : blanksOf(indent);
    if (by !== null && by.length > widestIndent)
      throw new Error(`it indents by ${by.length}; at most ${widestIndent} are allowed`);
    const pair = separators === null ? [by === null ? ', ' : ',', ': '] : itemsOf(separators).map(textOf);
    if (pair.length !== 2) throw new Error(`it gives ${pair.length} separators of JSON in place of 2`);
    return json(value, {
      indent: by,
      ensureAscii: isTrue(ensureAscii),
      separators: [pair[0]!, pair[1]!],
      sortKeys: isTrue(sortKeys),
    });
  },
  trim(value, given) {
    const [characters = null] = bind(given, ['chars']);
    return strip(soft(value), 'both', characters === null ? undefined : textOf(characters));
  },
  unique(value, given) {
    const [caseSensitive, path] = bind(given, ['case_sensitive', 'attribute']);
    const key = keyOf(path, caseSensitive);
    return new Lazy(() => [
      ...itemsOf(value)
        .reduce((seen, each) => {
          const hash = hashOf(key(each));
          return seen.has(hash) ? seen : seen.set(hash, each);
        }, new Map<string, Value>())
        .values(),
    ]);
  },
};

/** Jinja's others. */
const unsupported =
  'attr batch center e escape filesizeformat forceescape format groupby pprint random slice striptags truncate urlencode urlize wordcount wordwrap xmlattr';

function checkNumeric(value: Value): void {
  if (value instanceof Undefined) throw new Error(`it makes a number of ${value.what}, which is not defined`);
  if (value instanceof Markup) throw new Error('it makes a number of a text that is marked as safe');
}

export const isFilter = (name: string): boolean =>
  Object.hasOwn(filters, name) || unsupported.split(' ').includes(name);

/** `value | name` @throws Error for what is no filter or not supported, and values that it does not take */
export function filter(name: string, value: Value, given: Given): Value {
  const compute = Object.hasOwn(filters, name) ? filters[name] : undefined;
  if (compute === undefined) throw new Error(`the filter '${name}' is not supported`);
  return compute(value, given);
}
