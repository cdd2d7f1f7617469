import { capitalize, isLower, isUpper, lines, split, strip, titleMethod } from './text.js';
import {
  bind,
  Callable,
  checkLength,
  Dict,
  type Given,
  isEqual,
  isTrue,
  itemsOf,
  Lazy,
  List,
  Markup,
  Namespace,
  orElse,
  Range,
  Tuple,
  typeName,
  Undefined,
  type Value,
  View,
} from './values.js';

// What a value has: by `.name` methods come first, then the entries of an object; in brackets it is the other way round.

type Method<T extends Value> = (self: T, given: Given) => Value;
type Methods<T extends Value> = Readonly<Record<string, Method<T>>>;

/** @throws Error unless it is a text */
export function textOf(value: Value): string {
  if (typeof value === 'string') return value;
  throw new Error(`it takes a ${typeName(value)} for a text`);
}
/** @throws Error unless it is a whole number, of a size that counts something */
export function countOf(value: Value): number {
  const count = typeof value === 'boolean' ? Number(value) : typeof value === 'bigint' ? Number(value) : Number.NaN;
  if (!Number.isSafeInteger(count)) throw new Error(`it takes a ${typeName(value)} for a number of things`);
  return count;
}
export const texts = (all: readonly string[]) => new List(all);

/** `str.replace`; of nothing: between all characters. */
export function replaced(text: string, [old, by]: readonly [string, string], count = -1): string {
  const parts = old === '' ? ['', ...text, ''] : text.split(old);
  const most = count < 0 ? parts.length - 1 : Math.min(count, parts.length - 1);
  checkLength(text.length + most * (by.length - old.length));
  const head = parts.slice(0, most + 1).join(by);
  return most === parts.length - 1 ? head : head + old + parts.slice(most + 1).join(old);
}

/** `separator.join` @throws Error for what is no text */
export function joined(separator: string, all: readonly string[]): string {
  checkLength(all.reduce((sum, each) => sum + each.length, separator.length * Math.max(0, all.length - 1)));
  return all.join(separator);
}

const ofText =
  (change: (text: string) => Value): Method<string> =>
  (self, given) => {
    bind(given, []);
    return change(self);
  };
const stripped =
  (ends: 'both' | 'left' | 'right'): Method<string> =>
  (self, given) => {
    const [characters = null] = bind(given, ['(chars)']);
    return strip(self, ends, characters === null ? undefined : textOf(characters));
  };
/** With one of several ends, or the one. */
const withEnd =
  (has: (self: string, end: string) => boolean): Method<string> =>
  (self, given) => {
    const [end] = bind(given, ['(end)'], 1);
    return end instanceof Tuple ? end.items.some((each) => has(self, textOf(each))) : has(self, textOf(end!));
  };
const without =
  (cut: (self: string, end: string) => string): Method<string> =>
  (self, given) =>
    cut(self, textOf(bind(given, ['(end)'], 1)[0]!));
/** Where one text stands in another, in code points; −1 where it does not. */
const placeOf =
  (find: (self: string, part: string) => number): Method<string> =>
  (self, given) => {
    const at = find(self, textOf(bind(given, ['(part)'], 1)[0]!));
    return BigInt(at < 0 ? at : Array.from(self.slice(0, at)).length);
  };
/** Whether it has characters, all of a kind. */
const allOf = (kind: RegExp) => ofText((self) => kind.test(self));
const parted =
  (find: (self: string, separator: string) => number, whole: (self: string) => Tuple): Method<string> =>
  (self, given) => {
    const separator = textOf(bind(given, ['(sep)'], 1)[0]!);
    if (separator === '') throw new Error('it splits at nothing');
    const at = find(self, separator);
    return at < 0 ? whole(self) : new Tuple([self.slice(0, at), separator, self.slice(at + separator.length)]);
  };

const textMethods: Methods<string> = {
  upper: ofText((self) => self.toUpperCase()),
  lower: ofText((self) => self.toLowerCase()),
  title: ofText(titleMethod),
  capitalize: ofText(capitalize),
  strip: stripped('both'),
  lstrip: stripped('left'),
  rstrip: stripped('right'),
  split(self, given) {
    const [separator = null, most] = bind(given, ['sep', 'maxsplit']);
    return texts(
      split(self, separator === null ? undefined : textOf(separator), most === undefined ? -1 : countOf(most)),
    );
  },
  rsplit(self, given) {
    const [separator, most] = bind(given, ['sep', 'maxsplit']);
    const parts = split(self, separator === undefined || separator === null ? undefined : textOf(separator), -1);
    const count = most === undefined ? -1 : countOf(most);
    if (count < 0 || parts.length <= count + 1) return texts(parts);
    if (typeof separator !== 'string') throw new Error('it splits at blanks from the right, which is not supported');
    const from = parts.length - count;
    return texts([parts.slice(0, from).join(separator), ...parts.slice(from)]);
  },
  splitlines(self, given) {
    const [keepEnds = false] = bind(given, ['keepends']);
    return texts(lines(self, isTrue(keepEnds)));
  },
  join: (self, given) => joined(self, itemsOf(bind(given, ['(all)'], 1)[0]!).map(textOf)),
  replace(self, given) {
    const [old, by, count] = bind(given, ['(old)', '(new)', '(count)'], 2);
    return replaced(self, [textOf(old!), textOf(by!)], count === undefined ? -1 : countOf(count));
  },
  startswith: withEnd((self, end) => self.startsWith(end)),
  endswith: withEnd((self, end) => self.endsWith(end)),
  removeprefix: without((self, end) => (self.startsWith(end) ? self.slice(end.length) : self)),
  removesuffix: without((self, end) => (self.endsWith(end) ? self.slice(0, self.length - end.length) : self)),
  find: placeOf((self, part) => self.indexOf(part)),
  rfind: placeOf((self, part) => self.lastIndexOf(part)),
  index: placeOf((self, part) => {
    const at = self.indexOf(part);
    if (at < 0) throw new Error('it asks where a text is that is not there');
    return at;
  }),
  count(self, given) {
    const part = textOf(bind(given, ['(part)'], 1)[0]!);
    return BigInt((part === '' ? Array.from(self).length + 2 : self.split(part).length) - 1);
  },
  partition: parted(
    (self, separator) => self.indexOf(separator),
    (self) => new Tuple([self, '', '']),
  ),
  rpartition: parted(
    (self, separator) => self.lastIndexOf(separator),
    (self) => new Tuple(['', '', self]),
  ),
  isspace: ofText((self) => self !== '' && strip(self) === ''),
  isalpha: allOf(/^\p{L}+$/u),
  isdecimal: allOf(/^\p{Nd}+$/u),
  isdigit: ofText((self) => {
    if (/\p{No}/u.test(self)) throw new Error('it asks whether a text is of digits, which is not supported for some');
    return /^\p{Nd}+$/u.test(self);
  }),
  isupper: ofText(isUpper),
  islower: ofText(isLower),
};

const ofDict =
  (compute: (self: Dict) => Value): Method<Dict> =>
  (self, given) => {
    bind(given, []);
    return compute(self);
  };
const dictMethods: Methods<Dict> = {
  get(self, given) {
    const [key, otherwise = null] = bind(given, ['(key)', '(default)'], 1);
    return orElse(self.get(key!), otherwise);
  },
  keys: ofDict((self) => new View('dict_keys', self.keys())),
  values: ofDict(
    (self) =>
      new View(
        'dict_values',
        self.entries().map(([, value]) => value),
      ),
  ),
  items: ofDict(
    (self) =>
      new View(
        'dict_items',
        self.entries().map((entry) => new Tuple(entry)),
      ),
  ),
  copy: ofDict((self) => self),
};

const sequenceMethods: Methods<List | Tuple> = {
  index(self, given) {
    const value = bind(given, ['(value)'], 1)[0]!;
    const at = self.items.findIndex((each) => isEqual(each, value));
    if (at < 0) throw new Error('it asks where a value is that is not there');
    return BigInt(at);
  },
  count(self, given) {
    const value = bind(given, ['(value)'], 1)[0]!;
    return BigInt(self.items.filter((each) => isEqual(each, value)).length);
  },
};

/** What Python's types have beside. */
const others = {
  text: 'casefold center encode expandtabs format format_map isalnum isascii isidentifier isnumeric isprintable istitle ljust maketrans rindex rjust swapcase translate zfill',
  dict: 'clear fromkeys pop popitem setdefault update',
  list: 'append clear copy extend insert pop remove reverse sort',
  int: 'as_integer_ratio bit_count bit_length conjugate denominator from_bytes imag numerator real to_bytes',
  float: 'as_integer_ratio conjugate fromhex hex imag is_integer real',
  view: 'isdisjoint mapping',
  range: 'count index start step stop',
  generator: 'close gi_code gi_frame gi_running gi_suspended gi_yieldfrom send throw',
};

/** The method of a value by its name; undefined where Python's type has none. @throws Error for those that are not supported */
function methodOf(value: Value, name: string): Callable | undefined {
  const found = <T extends Value>(self: T, methods: Methods<T>, beside: string) => {
    const method = Object.hasOwn(methods, name) ? methods[name] : undefined;
    if (method !== undefined) return new Callable(name, (given) => method(self, given));
    if (beside.split(' ').includes(name) || name.startsWith('__'))
      throw new Error(`it takes '${name}' of a ${typeName(self)}, which is not supported`);
    return undefined;
  };
  if (typeof value === 'string') return found(value, textMethods, others.text);
  if (value instanceof Dict) return found(value, dictMethods, others.dict);
  if (value instanceof List) return found(value, sequenceMethods, others.list);
  if (value instanceof Tuple) return found(value, sequenceMethods, '');
  if (value instanceof View) return found(value, {}, value.kind === 'dict_values' ? 'mapping' : others.view);
  if (value instanceof Range) return found(value, {}, others.range);
  if (value instanceof Lazy) return found(value, {}, others.generator);
  if (value === null || value instanceof Namespace) return found(value, {}, '');
  if (value instanceof Callable || value instanceof Markup)
    throw new Error(`it takes '${name}' of a ${typeName(value)}, which is not supported`);
  return found(value, {}, typeof value === 'number' ? others.float : others.int);
}

function checkDefined(value: Value, name: string): void {
  if (value instanceof Undefined) throw new Error(`${value.what} is not defined, and it takes ${name} of it`);
}
const missing = (value: Value, name: Value) =>
  new Undefined(`${typeof name === 'string' ? `'${name}'` : 'an item'} of a ${typeName(value)}`);

/** `value.name` */
export function attribute(value: Value, name: string): Value {
  checkDefined(value, `'${name}'`);
  if (value instanceof Namespace) {
    const field = value.fields.get(name);
    if (field !== undefined) return field;
  }
  const entry = value instanceof Dict ? value.get(name) : undefined;
  return methodOf(value, name) ?? orElse(entry, missing(value, name));
}

/** `value[index]` */
export function item(value: Value, index: Value): Value {
  checkDefined(value, 'an item');
  if (value instanceof Dict) {
    const found = index instanceof List || index instanceof Dict ? undefined : value.get(index);
    if (found !== undefined) return found;
  } else if (typeof index === 'bigint' || typeof index === 'boolean') {
    const items = typeof value === 'string' || hasPlaces(value) ? itemsOf(value) : [];
    return orElse(items.at(Number(index)), missing(value, index));
  }
  if (typeof index !== 'string') return missing(value, index);
  if (value instanceof Namespace) return orElse(value.fields.get(index), missing(value, index));
  return methodOf(value, index) ?? missing(value, index);
}
const hasPlaces = (value: Value): value is List | Tuple | Range =>
  value instanceof List || value instanceof Tuple || value instanceof Range;

/** `value[from:to:step]` @throws Error for what has no slices */
export function slice(value: Value, [from = null, to = null, by = null]: readonly (Value | undefined)[]): Value {
  if (!(typeof value === 'string' || value instanceof List || value instanceof Tuple))
    throw new Error(`it slices a ${typeName(value)}`);
  const items = itemsOf(value);
  const step = by === null ? 1 : countOf(by);
  if (step === 0) throw new Error('it slices in steps of 0');
  // Places from the end count from it; those outside are at an end.
  const [lowest, highest] = step > 0 ? [0, items.length] : [-1, items.length - 1];
  const place = (bound: Value, otherwise: number) => {
    if (bound === null) return otherwise;
    const at = countOf(bound);
    return Math.min(Math.max(at < 0 ? at + items.length : at, lowest), highest);
  };
  const start = place(from, step > 0 ? lowest : highest);
  const stop = place(to, step > 0 ? highest : lowest);
  const taken: Value[] = [];
  for (let i = start; step > 0 ? i < stop : i > stop; i += step) taken.push(items[i]!);
  if (typeof value === 'string') return taken.join('');
  return value instanceof List ? new List(taken) : new Tuple(taken);
}
