import type { ArithmeticOperator, Comparison } from './nodes.js';
import {
  checkLength,
  compare,
  contains,
  int,
  isEqual,
  isNumber,
  largestValue,
  List,
  numberOf,
  Tuple,
  typeName,
  type Value,
} from './values.js';

/** Of an exponent: what comes out is refused where it is too large, before it is computed. */
const largestExponent = 20_000n;

const cannot = (operator: string, a: Value, b: Value) =>
  new Error(`it computes ${typeName(a)} ${operator} ${typeName(b)}, which is not supported`);

/** As a float. @throws Error for an int that none is as large as */
export function float(value: bigint | number): number {
  const number = Number(value);
  if (typeof value === 'bigint' && !Number.isFinite(number)) throw new Error('a whole number is too large for a float');
  return number;
}

function floorDivision(a: bigint, b: bigint): [quotient: bigint, rest: bigint] {
  if (b === 0n) throw new Error('it divides by zero');
  const rest = a % b;
  return rest !== 0n && rest < 0n !== b < 0n ? [a / b - 1n, rest + b] : [a / b, rest];
}

/** As CPython does: the rest is exact, and has the sign of the divisor. */
function floatFloorDivision(a: number, b: number): [quotient: number, rest: number] {
  if (b === 0) throw new Error('it divides by zero');
  let rest = a % b;
  let quotient = (a - rest) / b;
  if (rest !== 0) {
    if (rest < 0 !== b < 0) {
      rest += b;
      quotient -= 1;
    }
  } else rest = b < 0 ? -0 : 0;
  if (quotient === 0) return [a / b < 0 || Object.is(a / b, -0) ? -0 : 0, rest];
  const floor = Math.floor(quotient);
  return [quotient - floor > 0.5 ? floor + 1 : floor, rest];
}

function ofInts(operator: ArithmeticOperator, a: bigint, b: bigint): bigint | number {
  switch (operator) {
    case '+':
      return int(a + b);
    case '-':
      return int(a - b);
    case '*':
      return int(a * b);
    case '//':
      return floorDivision(a, b)[0];
    case '%':
      return floorDivision(a, b)[1];
    case '/':
      if (b === 0n) throw new Error('it divides by zero');
      // Beyond, both are rounded before they are divided.
      if (![a, b].every((each) => Number.isSafeInteger(Number(each))))
        throw new Error('it divides whole numbers of more than 2^53, which is not supported');
      return Number(a) / Number(b);
    case '**': {
      if (b < 0n) throw new Error('it raises to a negative power, which is not supported');
      const bits = BigInt(a.toString(2).length);
      if (b > largestExponent || bits * b > 2n * largestExponent) return int(1n << largestExponent);
      return int(a ** b);
    }
  }
}

function ofFloats(operator: ArithmeticOperator, a: number, b: number): number {
  switch (operator) {
    case '+':
      return a + b;
    case '-':
      return a - b;
    case '*':
      return a * b;
    case '//':
      return floatFloorDivision(a, b)[0];
    case '%':
      return floatFloorDivision(a, b)[1];
    case '/':
      if (b === 0) throw new Error('it divides by zero');
      return a / b;
    case '**':
      // The last digit is another where the C library is another.
      throw new Error('it raises a float to a power, which is not supported');
  }
}

/** What is computed while a template is read cannot be infinite in Jinja, and so nothing is here. */
function finite(value: number): number {
  if (!Number.isFinite(value)) throw new Error('it computes a number that is infinite');
  return value;
}

function repeated(value: Value, times: bigint | boolean): Value | undefined {
  const count = Math.max(0, Number(times));
  if (typeof value === 'string') {
    checkLength(value.length * count);
    return value.repeat(count);
  }
  if (!(value instanceof List || value instanceof Tuple)) return undefined;
  if (value.items.length * count > largestValue)
    throw new Error(`it makes a list or object of more than ${largestValue} values`);
  const items = Array.from({ length: count }, () => value.items).flat();
  return value instanceof List ? new List(items) : new Tuple(items);
}

const isInt = (value: Value): value is bigint | boolean => typeof value === 'bigint' || typeof value === 'boolean';

/** @throws Error for operands of kinds that Python cannot, and what is not supported here */
export function arithmetic(operator: ArithmeticOperator, a: Value, b: Value): Value {
  if (isNumber(a) && isNumber(b)) {
    const [x, y] = [numberOf(a), numberOf(b)];
    if (typeof x === 'bigint' && typeof y === 'bigint') return ofInts(operator, x, y);
    return finite(ofFloats(operator, float(x), float(y)));
  }
  if (operator === '+') {
    if (typeof a === 'string' && typeof b === 'string') return a + b;
    if (a instanceof List && b instanceof List) return new List([...a.items, ...b.items]);
    if (a instanceof Tuple && b instanceof Tuple) return new Tuple([...a.items, ...b.items]);
  }
  const times = operator !== '*' ? undefined : isInt(b) ? repeated(a, b) : isInt(a) ? repeated(b, a) : undefined;
  if (times === undefined) throw cannot(operator, a, b);
  return times;
}

export function compares(operator: Comparison, a: Value, b: Value): boolean {
  switch (operator) {
    case '==':
      return isEqual(a, b);
    case '!=':
      return !isEqual(a, b);
    case 'in':
      return contains(b, a);
    case 'not in':
      return !contains(b, a);
    case '<':
      return compare(a, b) < 0;
    case '<=':
      return compare(a, b) <= 0;
    case '>':
      return compare(a, b) > 0;
    case '>=':
      return compare(a, b) >= 0;
  }
}

/** `-value` or `+value` */
export function signed(operator: '-' | '+', value: Value): Value {
  if (!isNumber(value)) throw new Error(`it puts ${operator} before a ${typeName(value)}`);
  const number = numberOf(value);
  return operator === '-' ? -number : number;
}
