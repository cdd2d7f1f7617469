import type { Comparison } from './nodes.js';
import { arithmetic, compares } from './operators.js';
import { isLower, isUpper } from './text.js';
import {
  bind,
  Callable,
  contains,
  Dict,
  type Given,
  isNumber,
  Lazy,
  List,
  Markup,
  Range,
  str,
  Tuple,
  Undefined,
  type Value,
  View,
} from './values.js';

type Test = (value: Value, given: Given) => boolean;

const plain =
  (test: (value: Value) => boolean): Test =>
  (value, given) => {
    bind(given, []);
    return test(value);
  };
const compared =
  (operator: Comparison): Test =>
  (value, given) =>
    compares(operator, value, bind(given, ['(other)'], 1)[0]!);

const rest = (value: Value, by: Value) => {
  const found = arithmetic('%', value, by);
  return isNumber(found) ? Number(found) : Number.NaN;
};
const isText = (value: Value) => typeof value === 'string' || value instanceof Markup;
const isSequence = (value: Value) =>
  isText(value) ||
  value instanceof List ||
  value instanceof Tuple ||
  value instanceof Dict ||
  value instanceof Range ||
  value instanceof Undefined;

const equal = compared('==');
const tests: Readonly<Record<string, Test>> = {
  defined: plain((value) => !(value instanceof Undefined)),
  undefined: plain((value) => value instanceof Undefined),
  none: plain((value) => value === null),
  boolean: plain((value) => typeof value === 'boolean'),
  true: plain((value) => value === true),
  false: plain((value) => value === false),
  integer: plain((value) => typeof value === 'bigint'),
  float: plain((value) => typeof value === 'number'),
  number: plain(isNumber),
  string: plain(isText),
  mapping: plain((value) => value instanceof Dict),
  sequence: plain(isSequence),
  iterable: plain((value) => isSequence(value) || value instanceof View || value instanceof Lazy),
  callable: plain((value) => value instanceof Callable || value instanceof Undefined),
  lower: plain((value) => isLower(str(value))),
  upper: plain((value) => isUpper(str(value))),
  odd: plain((value) => rest(value, 2n) === 1),
  even: plain((value) => rest(value, 2n) === 0),
  divisibleby: (value, given) => rest(value, bind(given, ['num'], 1)[0]!) === 0,
  in: (value, given) => contains(bind(given, ['seq'], 1)[0]!, value),
  sameas(value, given) {
    const [other] = bind(given, ['other'], 1);
    // Others may be the same object or not, and Python keeps some texts and numbers once.
    if ([value, other!].every((each) => each !== null && typeof each !== 'boolean'))
      throw new Error('it asks for the same object other than true, false and none, which is not supported');
    return value === other;
  },
  filter: unsupported('filter'),
  test: unsupported('test'),
  escaped: unsupported('escaped'),
  eq: equal,
  equalto: equal,
  '==': equal,
  ne: compared('!='),
  '!=': compared('!='),
  lt: compared('<'),
  lessthan: compared('<'),
  '<': compared('<'),
  le: compared('<='),
  '<=': compared('<='),
  gt: compared('>'),
  greaterthan: compared('>'),
  '>': compared('>'),
  ge: compared('>='),
  '>=': compared('>='),
};

function unsupported(name: string): Test {
  return () => {
    throw new Error(`the test '${name}' is not supported`);
  };
}

export const isTest = (name: string): boolean => Object.hasOwn(tests, name);

/** `value is name` @throws Error for what is no test, or cannot be asked of the value */
export function test(name: string, value: Value, given: Given): boolean {
  const found = isTest(name) ? tests[name] : undefined;
  if (found === undefined) throw new Error(`'${name}' is no test`);
  return found(value, given);
}
