import type { Interpreter } from '@huggingface/jinja';
import {
  capitalize,
  indent,
  isEqual,
  isNone,
  json,
  length,
  splitAtBlanks,
  str,
  strip,
  titleFilter,
  titleMethod,
  type Value,
} from './python-values.js';

// The library's tree of a template, with what it computes otherwise than Python put in the place of those nodes.

export type Node = NonNullable<Parameters<Interpreter['evaluate']>[0]>;

/** What an operation has to go on: its operand, and arguments in order and by name. */
interface Given {
  readonly operand: Value;
  readonly args: readonly Value[];
  readonly named: ReadonlyMap<string, Value>;
}
export type Result = string | number | boolean | readonly string[];

/** Computed here. */
export interface Operation {
  readonly type: 'Operation';
  readonly operand: Node;
  readonly args: readonly Node[];
  readonly named: ReadonlyMap<string, Node>;
  compute(given: Given): Result;
}
/** Statements one after the other; those of a loop's turn have variables of their own. */
export interface Block {
  readonly type: 'Block';
  readonly body: readonly Node[];
  readonly isTurn: boolean;
}
/** `break` or `continue`. */
export interface Leave {
  readonly type: 'Leave';
  readonly how: 'break' | 'continue';
}
export type OwnNode = Operation | Block | Leave;

/** What the library calls the parts of its nodes. */
interface Parts {
  type: string;
  operator?: { readonly value: string };
  left?: Node;
  right?: Node;
  operand?: Node;
  filter?: Node & Parts;
  callee?: Node & Parts;
  object?: Node;
  property?: Node & Parts;
  computed?: boolean;
  test?: Node & Parts;
  negate?: boolean;
  args?: (Node & Parts)[];
  key?: { readonly value: string };
  value?: unknown;
  body?: Node[];
  alternate?: Node[];
  defaultBlock?: Node[];
}

/** Nodes that print nothing, or texts. */
const printsTexts = ['Set', 'If', 'For', 'Macro', 'CallStatement', 'Comment', 'StringLiteral', 'Block', 'Leave'];

/** Blanks of an indentation, at most. */
const widestIndent = 1000;

/** @throws Error unless it is a text */
function textOf({ type, value }: Value): string {
  if (typeof value === 'string') return value;
  throw new Error(`it takes a ${type} for a text`);
}
const optionalText = (value: Value | undefined) => (value === undefined || isNone(value) ? undefined : textOf(value));

const stripped =
  (ends: 'both' | 'left' | 'right') =>
  ({ operand, args, named }: Given) => {
    noOthers({ args, named }, 1, []);
    return strip(textOf(operand), ends, optionalText(args[0]));
  };
const ofText = (change: (text: string) => string) => (given: Given) => {
  noOthers(given, 0, []);
  return change(textOf(given.operand));
};

/** @throws Error unless it is a number of blanks that may be */
function widthOf({ value }: Value): number {
  if (typeof value !== 'number') throw new Error('it indents by no number');
  if (value > widestIndent) throw new Error(`it indents by ${value}; at most ${widestIndent} are allowed`);
  return value;
}

/** Python takes no argument that it does not know. */
function noOthers({ args, named }: Pick<Given, 'args' | 'named'>, most: number, names: readonly string[]): void {
  const other = [...named.keys()].find((name) => !names.includes(name));
  if (args.length > most || other !== undefined)
    throw new Error(`it gives ${other ?? 'an argument'}, which is not known`);
}

const methods: Readonly<Record<string, Operation['compute']>> = {
  strip: stripped('both'),
  lstrip: stripped('left'),
  rstrip: stripped('right'),
  title: ofText(titleMethod),
  capitalize: ofText(capitalize),
  split({ operand, args, named }) {
    noOthers({ args, named }, 2, ['sep', 'maxsplit']);
    const separator = optionalText(args[0] ?? named.get('sep'));
    const most = Number((args[1] ?? named.get('maxsplit'))?.value ?? -1);
    const text = textOf(operand);
    if (separator === undefined) return splitAtBlanks(text, most);
    if (separator === '') throw new Error('it splits at nothing');
    const parts = text.split(separator);
    return most < 0 || parts.length <= most ? parts : [...parts.slice(0, most), parts.slice(most).join(separator)];
  },
};

const filters: Readonly<Record<string, Operation['compute']>> = {
  trim: ({ operand, args, named }) => {
    noOthers({ args, named }, 1, ['chars']);
    return strip(str(operand), 'both', optionalText(args[0] ?? named.get('chars')));
  },
  string: ({ operand }) => str(operand),
  length: ({ operand }) => length(operand),
  count: ({ operand }) => length(operand),
  title: ofText(titleFilter),
  capitalize: ofText(capitalize),
  join({ operand: { type, value }, args, named }) {
    noOthers({ args, named }, 2, ['d', 'attribute']);
    const attribute = optionalText(args[1] ?? named.get('attribute'));
    const list = typeof value === 'string' ? Array.from(value) : value instanceof Map ? [...value.keys()] : value;
    if (!Array.isArray(list)) throw new Error(`it joins a ${type}`);
    const texts = list.map((each: string | Value) => {
      if (typeof each === 'string') return each;
      if (attribute === undefined) return str(each);
      if (!(each.value instanceof Map) || attribute.includes('.')) throw new Error(`it joins by ${attribute}`);
      const found = each.value.get(attribute);
      return found === undefined ? '' : str(found);
    });
    return texts.join(str(args[0] ?? named.get('d') ?? ({ type: 'StringValue', value: '' } as Value)));
  },
  indent({ operand, args, named }) {
    noOthers({ args, named }, 3, ['width', 'first', 'blank']);
    const [width, first, blank] = ['width', 'first', 'blank'].map((name, i) => args[i] ?? named.get(name));
    const by = typeof width?.value === 'string' ? width.value : ' '.repeat(width ? widthOf(width) : 4);
    if (by.length > widestIndent) throw new Error(`it indents by ${by.length}; at most ${widestIndent} are allowed`);
    return indent(textOf(operand), by, { first: first?.value === true, blank: blank?.value === true });
  },
  tojson({ operand, args, named }) {
    noOthers({ args, named }, 0, ['indent', 'ensure_ascii', 'separators', 'sort_keys']);
    const width = named.get('indent');
    const separators = named.get('separators')?.value ?? null;
    return json(operand, {
      indent: width === undefined || isNone(width) ? null : widthOf(width),
      ensureAscii: named.get('ensure_ascii')?.value === true,
      separators: Array.isArray(separators) ? [textOf(separators[0]!), textOf(separators[1]!)] : null,
      sortKeys: named.get('sort_keys')?.value === true,
    });
  },
};

/** Tests (`is iterable`) of which the library says otherwise. */
const tests: Readonly<Record<string, (value: Value) => boolean>> = {
  iterable: ({ type, value }) => typeof value === 'string' || type === 'UndefinedValue' || isContainer(value),
  number: ({ value }) => typeof value === 'number' || typeof value === 'boolean',
};
const isContainer = (value: unknown) => Array.isArray(value) || value instanceof Map;

/** Nodes that the library does not know stand among its own. */
const asNode = (own: OwnNode) => own as unknown as Node;

function operation(operand: Node, args: readonly (Node & Parts)[], compute: Operation['compute']): Node | undefined {
  if (args.some(({ type }) => type === 'SpreadExpression' || type === 'KeywordSpreadExpression')) return undefined;
  const isNamed = ({ type }: Node) => type === 'KeywordArgumentExpression';
  const named = new Map(args.filter(isNamed).map(({ key, value }) => [key!.value, value as Node]));
  return asNode({ type: 'Operation', operand, args: args.filter((arg) => !isNamed(arg)), named, compute });
}

const own = <T>(table: Readonly<Record<string, T>>, name: unknown) =>
  typeof name === 'string' && Object.hasOwn(table, name) ? table[name] : undefined;

/** A filter by itself, or called with arguments. */
function filtered(operand: Node, filter: Node & Parts): Node | undefined {
  const compute = own(filters, filter.callee?.value ?? filter.value);
  return compute && operation(operand, filter.args ?? [], compute);
}

function inPlaceOf(node: Node & Parts): Node | undefined {
  const { type, operator, left, right, operand, filter, callee, args = [], body = [] } = node;
  if (type === 'BinaryExpression') {
    const two = (compute: (a: Value, b: Value) => Result) =>
      operation(left!, [right!], ({ operand: a, args: [b] }) => compute(a, b!));
    if (operator?.value === '~') return two((a, b) => str(a) + str(b));
    if (operator?.value === '==') return two(isEqual);
    if (operator?.value === '!=') return two((a, b) => !isEqual(a, b));
  }
  if (type === 'FilterExpression') return filtered(operand!, filter!);
  if (type === 'TestExpression') {
    const test = own(tests, node.test?.value);
    return test && operation(operand!, [], (given) => test(given.operand) !== (node.negate === true));
  }
  if (type === 'FilterStatement') return filtered(asNode({ type: 'Block', body, isTurn: false }), filter!);
  if (type === 'CallExpression' && callee?.type === 'MemberExpression' && callee.computed !== true) {
    const compute = own(methods, callee.property?.value);
    return compute && operation(callee.object!, args, compute);
  }
  if (type === 'Break' || type === 'Continue')
    return asNode({ type: 'Leave', how: type === 'Break' ? 'break' : 'continue' });
  return undefined;
}

/** A node with those within it, changed in place: as deep as the parser lets them nest. */
function changed(given: Node): Node {
  const node = given as Node & Parts;
  for (const [field, value] of Object.entries(node)) {
    if (field === 'operator') continue;
    Object.assign(node, { [field]: changedWithin(value) });
  }
  for (const field of ['body', 'alternate', 'defaultBlock'] as const) {
    const body = node[field];
    if (body === undefined) continue;
    const printed = body.map((each) =>
      printsTexts.includes(each.type) ? each : operation(each, [], ({ operand }) => str(operand))!,
    );
    const isInLoop = node.type === 'For' || node.type === 'If';
    const isTurn = node.type === 'For' && field === 'body';
    node[field] = isInLoop ? [asNode({ type: 'Block', body: printed, isTurn })] : printed;
  }
  return inPlaceOf(node) ?? node;
}

function changedWithin(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(changedWithin);
  if (value instanceof Map) return new Map([...value].map(([key, each]) => [changedWithin(key), changedWithin(each)]));
  return typeof value === 'object' && value !== null && 'type' in value ? changed(value as Node) : value;
}

/** The tree of a template so that it computes as in Python, with nodes of our own in it. */
export const asInPython = (program: Node): Node => changed(program);
