import { compareTexts, floatText, quoted } from './text.js';

// The values of a template, which are Python's. Lists and objects never change once they are made, as in transformers' sandbox.

/** An int is a bigint, a float a number. */
export type Value =
  | string
  | bigint
  | number
  | boolean
  | null
  | Undefined
  | List
  | Tuple
  | Dict
  | Range
  | View
  | Lazy
  | Namespace
  | Callable
  | Markup;

/** Characters of any text, and values in any list or object (those within included), on the way. */
export const largestValue = 2 ** 22;
/** Characters of a text that weigh as much as a value. */
export const charactersPerValue = 50;
/** Numbers of a `range`, as in Jinja's sandbox. */
const longestRange = 100_000;
/** Bits of an int: as many digits as Python writes at most, 4300. */
const widestInt = 14_284;

/** What is not there. */
export class Undefined {
  constructor(readonly what: string) {}
}
abstract class Sequence {
  readonly weight: number;
  constructor(readonly items: readonly Value[]) {
    this.weight = weigh(items);
  }
}
export class List extends Sequence {
  readonly kind = 'list';
}
export class Tuple extends Sequence {
  readonly kind = 'tuple';
}
/** What `keys`, `values` and `items` of an object give. */
export class View extends Sequence {
  constructor(
    readonly kind: 'dict_keys' | 'dict_values' | 'dict_items',
    items: readonly Value[],
  ) {
    super(items);
  }
}
export class Dict {
  readonly #entries = new Map<string, readonly [Value, Value]>();
  readonly weight: number;
  /** `orderLost`: the key for which JavaScript has put the fields into another order than they were written in. */
  constructor(
    pairs: Iterable<readonly [Value, Value]>,
    readonly orderLost?: string,
  ) {
    for (const [key, value] of pairs) {
      const hash = hashOf(key);
      const before = this.#entries.get(hash);
      this.#entries.set(hash, [before ? before[0] : key, value]);
    }
    this.weight = weigh([...this.#entries.values()].flat());
  }
  get size(): number {
    return this.#entries.size;
  }
  get(key: Value): Value | undefined {
    return this.#entries.get(hashOf(key))?.[1];
  }
  /** Whatever their order. */
  unordered(): (readonly [Value, Value])[] {
    return [...this.#entries.values()];
  }
  /** @throws Error where their order is not known */
  entries(): (readonly [Value, Value])[] {
    if (this.orderLost !== undefined)
      throw new Error(
        `it reads all fields of an object, one of which is named '${this.orderLost}': the order of such is not kept in JavaScript`,
      );
    return this.unordered();
  }
  keys(): Value[] {
    return this.entries().map(([key]) => key);
  }
}
export class Range {
  readonly items: readonly bigint[];
  constructor(
    readonly start: bigint,
    readonly stop: bigint,
    readonly step: bigint,
  ) {
    if (step === 0n) throw new Error('it counts in steps of 0');
    const past = step > 0n ? stop - start + step - 1n : start - stop - step - 1n;
    const length = past > 0n ? past / (step > 0n ? step : -step) : 0n;
    if (length > longestRange) throw new Error(`it counts ${length} numbers; at most ${longestRange} are allowed`);
    this.items = Array.from({ length: Number(length) }, (_, i) => start + BigInt(i) * step);
  }
}
/** A generator: can be gone through once, and is computed then. */
export class Lazy {
  #items: readonly Value[] | undefined;
  #at = 0;
  constructor(readonly compute: () => readonly Value[]) {}
  first(): Value | undefined {
    this.#items ??= this.compute();
    return this.#items[this.#at++];
  }
  rest(): readonly Value[] {
    this.#items ??= this.compute();
    const rest = this.#items.slice(this.#at);
    this.#at = this.#items.length;
    return rest;
  }
  /** Gone through to an unknown place. */
  spoil(): void {
    this.#items = undefined;
    this.rest = () => {
      throw new Error('it goes on with a sequence that a loop has left by break');
    };
    this.first = this.rest as () => never;
  }
}
export class Namespace {
  constructor(
    readonly fields: Map<string, Value>,
    readonly isLoop = false,
  ) {}
}
export interface Given {
  readonly args: readonly Value[];
  readonly named: ReadonlyMap<string, Value>;
}
export class Callable {
  constructor(
    readonly name: string,
    readonly call: (given: Given) => Value,
  ) {}
}
/** A text that the filter `safe` has marked: it can be written, and nothing else. */
export class Markup {
  constructor(readonly text: string) {}
}

/** A value that may be missing: `??` would take None for that. */
export const orElse = (value: Value | undefined, otherwise: Value): Value => (value === undefined ? otherwise : value);

function weigh(items: readonly Value[]): number {
  let weight = 1;
  for (const item of items) weight += weightOf(item);
  if (weight > largestValue) throw new Error(`it makes a list or object of more than ${largestValue} values`);
  return weight;
}
/** How much there is to go through. */
export function weightOf(value: Value): number {
  if (typeof value === 'string') return 1 + value.length / charactersPerValue;
  if (value instanceof Sequence || value instanceof Dict) return value.weight;
  return value instanceof Range ? value.items.length : 1;
}

/** A text that may be as long. @throws Error where it may not */
export function checkLength(characters: number): void {
  if (!(characters <= largestValue)) throw new Error(`it makes a text of more than ${largestValue} characters`);
}
/** @throws Error for an int with more digits than Python writes */
export function int(value: bigint): bigint {
  if (BigInt.asIntN(widestInt, value) !== value) throw new Error('it makes a whole number of more than 4300 digits');
  return value;
}

/** Python's name of a value's type. */
export function typeName(value: Value): string {
  if (typeof value === 'string' || value instanceof Markup) return 'str';
  if (typeof value === 'bigint') return 'int';
  if (typeof value === 'number') return 'float';
  if (typeof value === 'boolean') return 'bool';
  if (value === null) return 'None';
  if (value instanceof Sequence) return value.kind;
  if (value instanceof Dict) return 'dict';
  if (value instanceof Range) return 'range';
  if (value instanceof Lazy) return 'generator';
  if (value instanceof Callable) return 'function';
  return value instanceof Undefined ? `undefined (${value.what})` : value.isLoop ? 'loop' : 'namespace';
}

export const isNumber = (value: Value): value is bigint | number | boolean =>
  typeof value === 'bigint' || typeof value === 'number' || typeof value === 'boolean';
/** A bool is an int. */
export const numberOf = (value: bigint | number | boolean): bigint | number =>
  typeof value === 'boolean' ? BigInt(value) : value;

/** What a value is in a set and as a key: 1, 1.0 and True are the same. @throws Error for what is no key */
export function hashOf(value: Value): string {
  if (typeof value === 'string') return `s${value}`;
  if (isNumber(value)) {
    const number = numberOf(value);
    return typeof number === 'number' && !Number.isInteger(number) ? `f${number}` : `i${BigInt(number)}`;
  }
  if (value === null) return 'None';
  if (value instanceof Undefined) return 'Undefined';
  if (value instanceof Tuple) {
    const parts = value.items.map(hashOf);
    return `t${parts.map((part) => `${part.length}:${part}`).join('')}`;
  }
  throw new Error(`a ${typeName(value)} is no key`);
}

/** `bool` */
export function isTrue(value: Value): boolean {
  if (value instanceof Markup) return value.text !== '';
  if (value instanceof Sequence || value instanceof Range) return value.items.length > 0;
  if (value instanceof Dict) return value.size > 0;
  if (value instanceof Undefined) return false;
  return typeof value === 'number' ? value !== 0 : Boolean(value);
}

/** `repr`: a value within a list or object. */
function repr(value: Value): string {
  if (typeof value === 'string') return quoted(value);
  if (value instanceof Markup) throw new Error('it prints a list with a text that is marked as safe');
  return value instanceof Undefined ? 'Undefined' : str(value);
}

/** `str`: what is printed. @throws Error for what Python prints with its place in memory */
export function str(value: Value): string {
  if (typeof value === 'string') return value;
  if (value instanceof Markup) return value.text;
  if (typeof value === 'bigint') return String(value);
  if (typeof value === 'number') return floatText(value);
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (value === null) return 'None';
  if (value instanceof Undefined) return '';
  if (value instanceof Sequence) {
    const items = value.items.map(repr).join(', ');
    if (value instanceof List) return `[${items}]`;
    return value instanceof Tuple
      ? `(${items}${value.items.length === 1 ? ',' : ''})`
      : `${typeName(value)}([${items}])`;
  }
  if (value instanceof Dict)
    return `{${value
      .entries()
      .map(([key, entry]) => `${repr(key)}: ${repr(entry)}`)
      .join(', ')}}`;
  if (value instanceof Range)
    return `range(${value.start}, ${value.stop}${value.step === 1n ? '' : `, ${value.step}`})`;
  throw new Error(`it prints a ${typeName(value)}`);
}

/** `iter`: what a loop goes through. A generator is used up. @throws Error for what is none */
export function itemsOf(value: Value): readonly Value[] {
  if (typeof value === 'string') return Array.from(value);
  if (value instanceof Sequence || value instanceof Range) return value.items;
  if (value instanceof Dict) return value.keys();
  if (value instanceof Lazy) return value.rest();
  if (value instanceof Undefined) return [];
  throw new Error(`a ${typeName(value)} is nothing to go through`);
}

/** `len` of a text (in code points), list or object. @throws Error for what has none */
export function length(value: Value): number {
  if (value instanceof Dict) return value.size;
  if (value instanceof Lazy) throw new Error('it asks for the length of a generator');
  return itemsOf(value).length;
}

/** `==` */
export function isEqual(a: Value, b: Value): boolean {
  if (isNumber(a) && isNumber(b)) return compareNumbers(a, b) === 0;
  if (a instanceof Undefined || b instanceof Undefined) return a instanceof Undefined && b instanceof Undefined;
  if (a instanceof Dict && b instanceof Dict) {
    if (a.size !== b.size) return false;
    return a.unordered().every(([key, each]) => {
      const other = b.get(key);
      return other !== undefined && isEqual(each, other);
    });
  }
  if ((a instanceof View && b instanceof View) || (a instanceof Range && b instanceof Range))
    throw new Error(`it compares a ${typeName(a)} with a ${typeName(b)}, which is not supported`);
  if (a instanceof Sequence && b instanceof Sequence)
    return (
      a.kind === b.kind && a.items.length === b.items.length && a.items.every((each, i) => isEqual(each, b.items[i]!))
    );
  if (a instanceof Markup) return isEqual(a.text, b);
  return b instanceof Markup ? isEqual(a, b.text) : a === b;
}

/** Exact, whatever their kinds. NaN is neither less nor more, nor equal. */
export function compareNumbers(a: bigint | number | boolean, b: bigint | number | boolean): number {
  const [x, y] = [numberOf(a), numberOf(b)];
  // biome-ignore lint/suspicious/noDoubleEquals: a bigint equals the number that it is only so
  return x == y ? 0 : x < y ? -1 : x > y ? 1 : Number.NaN;
}

/** Less than 0, 0, more than 0; NaN where neither. @throws Error for what has no order */
export function compare(a: Value, b: Value): number {
  if (isNumber(a) && isNumber(b)) return compareNumbers(a, b);
  if (typeof a === 'string' && typeof b === 'string') return compareTexts(a, b);
  if ((a instanceof List && b instanceof List) || (a instanceof Tuple && b instanceof Tuple)) {
    const at = a.items.findIndex((each, i) => i >= b.items.length || !isEqual(each, b.items[i]!));
    if (at < 0) return a.items.length - b.items.length;
    return at >= b.items.length ? 1 : compare(a.items[at]!, b.items[at]!);
  }
  throw new Error(`a ${typeName(a)} is neither less nor more than a ${typeName(b)}`);
}

/** `in` */
export function contains(container: Value, value: Value): boolean {
  if (typeof container === 'string') {
    if (typeof value === 'string') return container.includes(value);
    throw new Error(`it looks for a ${typeName(value)} in a text`);
  }
  if (container instanceof Dict) return container.get(value) !== undefined;
  if (container instanceof Lazy) {
    for (let item = container.first(); item !== undefined; item = container.first())
      if (isEqual(item, value)) return true;
    return false;
  }
  // What is looked up as a key must be one.
  if (container instanceof View && container.kind === 'dict_keys') hashOf(value);
  if (container instanceof View && container.kind === 'dict_items' && value instanceof Tuple)
    hashOf(value.items[0] ?? null);
  return itemsOf(container).some((item) => isEqual(item, value));
}

/**
 * Arguments by the names of what is taken, in order. A name in brackets cannot be given by it.
 * @throws Error for more, others, and missing ones of the first `needed`
 */
export function bind({ args, named }: Given, names: readonly string[], needed = 0): (Value | undefined)[] {
  const other = [...named.keys()].find((name) => !names.includes(name));
  if (args.length > names.length || other !== undefined)
    throw new Error(`it gives ${other ?? 'an argument'}, which is not known`);
  return names.map((name, i) => {
    const byName = named.get(name);
    if (i < args.length && byName !== undefined) throw new Error(`it gives ${name} twice`);
    const value = i < args.length ? args[i] : byName;
    if (value === undefined && i < needed) throw new Error(`it gives no ${name.replace(/[()]/g, '')}`);
    return value;
  });
}
