import { Environment, Interpreter, Template } from '@huggingface/jinja';
import { asInPython, type Block, type Node, type Operation, type OwnNode } from './python-template.js';
import { JsonFloat } from './json-float.js';
import type { Value } from './python-values.js';

// A template is a program of whoever published the model, and runs in the caller's thread: it must end, and take no memory to speak of.

/** Jinja source of more characters is not read; real templates have some thousands. */
const longestSource = 2 ** 20;
/** Characters of any text, and values in any list or object (those within included), on the way. */
const largestValue = 2 ** 22;
/** Numbers of a `range`. */
const longestRange = 100_000;
/** Expressions and blocks within each other; a macro that calls itself adds some with each call. */
const deepest = 400;
/** Work is counted in some microseconds: an expression is 1, and so are so many characters or entries of what comes out of it. */
const charactersPerWork = 50;
const entriesPerWork = 10;
const leastWork = 50_000;
const workPerMessage = 500;

/** What loops say. */
interface LoopParts {
  readonly iterable?: Node & { readonly lhs?: Node };
}

interface MacroParts {
  readonly name: { readonly value: string };
}

/** A loop is left, or a turn of it; `text` is what was written before in blocks on the way. */
class LeaveLoop extends Error {
  text = '';
  constructor(readonly how: 'break' | 'continue') {
    super(`it has a ${how} outside of a loop`);
  }
}

/** Evaluates as the library does, and nodes of our own as Python does, and counts. */
class BoundedInterpreter extends Interpreter {
  readonly #mostWork: number;
  #work = 0;
  #depth = 0;
  readonly #loops = new WeakSet<object>();
  readonly #sizes = new WeakMap<object, number>();
  /** Scopes of loops that were left by `break`. */
  readonly #left = new WeakSet<Environment>();

  constructor(environment: Environment, mostWork: number) {
    super(environment);
    this.#mostWork = mostWork;
  }

  override evaluate(node: Node | undefined, environment: Environment): Value {
    if (++this.#depth > deepest) throw new Error(`it nests deeper than ${deepest} levels`);
    const depth = this.#depth;
    try {
      this.#note(node);
      const value = this.#evaluate(node as Node | OwnNode | undefined, environment);
      this.#check(node, value);
      return value;
    } finally {
      this.#depth = depth - 1;
    }
  }

  #evaluate(node: Node | OwnNode | undefined, environment: Environment): Value {
    switch (node?.type) {
      case 'Operation':
        return this.#compute(node as Operation, environment);
      case 'Block':
        return this.#run(node as Block, environment);
      case 'Leave':
        throw new LeaveLoop((node as Extract<OwnNode, { type: 'Leave' }>).how);
      case 'Macro':
        return this.#define(node as Node & MacroParts, environment);
      default:
        return super.evaluate(node as Node | undefined, environment);
    }
  }

  /** A macro sees what there is where it is defined, not where it is called; but `caller` of a call block. */
  #define(node: Node & MacroParts, environment: Environment): Value {
    const nothing = super.evaluate(node, environment);
    const macro = environment.lookupVariable(node.name.value);
    if (macro.type !== 'FunctionValue') return nothing;
    const defined = macro as Extract<Value, { value: (...args: never[]) => unknown }>;
    const { value: call } = defined;
    defined.value = (args, scope) => {
      const own = new Environment(environment);
      own.setVariable('caller', scope.lookupVariable('caller'));
      return call(args, own);
    };
    return nothing;
  }

  #compute({ operand, args, named, compute }: Operation, environment: Environment): Value {
    const given = {
      operand: this.evaluate(operand, environment),
      args: args.map((arg) => this.evaluate(arg, environment)),
      named: new Map([...named].map(([name, arg]) => [name, this.evaluate(arg, environment)])),
    };
    return libraryValue(compute(given));
  }

  #run({ body, isTurn }: Block, environment: Environment): Value {
    if (this.#left.has(environment)) return libraryValue('');
    const scope = isTurn ? new Environment(environment) : environment;
    let text = '';
    try {
      for (const each of body) text += String(this.evaluate(each, scope).value ?? '');
    } catch (error) {
      if (!(error instanceof LeaveLoop)) throw error;
      error.text = text + error.text;
      if (!isTurn) throw error;
      if (error.how === 'break') this.#left.add(environment);
      return libraryValue(error.text);
    }
    return libraryValue(text);
  }

  /** Remembers what is looped over. */
  #note(node: Node | undefined): void {
    const { iterable } = (node ?? {}) as LoopParts;
    if (iterable !== undefined) this.#loops.add(iterable.lhs ?? iterable);
  }

  #check(node: Node | undefined, { type, value }: Value): void {
    this.#work++;
    if (typeof value === 'string') {
      if (value.length > largestValue) throw new Error(`it makes a text of more than ${largestValue} characters`);
      this.#work += value.length / charactersPerWork;
    } else if (type !== 'FunctionValue' && isContainer(value)) {
      this.#sizeOf(value, 0);
      // A turn of a loop is work, even if nothing is in it.
      const isLoop = node !== undefined && this.#loops.has(node);
      this.#work += entriesOf(value) / (isLoop ? 1 : entriesPerWork);
    }
    if (this.#work > this.#mostWork) throw new Error('it takes too much work: does a loop of it never end?');
  }

  /** Values within each other: a list that stands in another twice counts twice, as it does where all is written out. */
  #sizeOf(container: Container, before: number): number {
    const known = this.#sizes.get(container);
    if (known !== undefined) return this.#within(before + known) - before;
    let size = 1;
    for (const { type, value } of container.values()) {
      if (typeof value === 'string') size += 1 + value.length / charactersPerWork;
      else if (type !== 'FunctionValue' && isContainer(value)) size += this.#sizeOf(value, before + size);
      else size++;
      this.#within(before + size);
    }
    // What a namespace holds may change, and with it what holds the namespace; the others stay as they were made.
    if (!this.#changes(container)) this.#sizes.set(container, size);
    return size;
  }

  #changes(container: Container): boolean {
    for (const { type, value } of container.values())
      if (type === 'NamespaceValue' || (type !== 'FunctionValue' && isContainer(value) && !this.#sizes.has(value)))
        return true;
    return false;
  }

  #within(size: number): number {
    if (size > largestValue) throw new Error(`it makes a list or object of more than ${largestValue} values`);
    return size;
  }
}

type Container = Value[] | Map<string, Value>;

const isContainer = (value: unknown): value is Container => Array.isArray(value) || value instanceof Map;
const entriesOf = (container: Container) => (container instanceof Map ? container.size : container.length);

/** As Python's. */
function range(first: number, second?: number, step = 1): number[] {
  const [start, stop] = second === undefined ? [0, first] : [first, second];
  const length = Math.max(0, Math.ceil((stop - start) / step));
  if (!(length <= longestRange)) throw new Error(`it counts ${length} numbers; at most ${longestRange} are allowed`);
  return Array.from({ length }, (_, i) => start + i * step);
}

/** The library's form of a value. */
const libraryValue = (value: unknown): Value => new Environment().set('value', value);

const hasFloat = (value: unknown): boolean =>
  value instanceof JsonFloat || (typeof value === 'object' && value !== null && Object.values(value).some(hasFloat));

/** What a value is written as in a template: how floats of JSON become the library's. */
function literalOf(value: unknown): Node {
  const node = (type: string, content: unknown) => ({ type, value: content }) as Node;
  if (value instanceof JsonFloat) return node('FloatLiteral', value.value);
  if (typeof value === 'number') return node(Number.isInteger(value) ? 'IntegerLiteral' : 'FloatLiteral', value);
  if (typeof value === 'string') return node('StringLiteral', value);
  if (Array.isArray(value)) return node('ArrayLiteral', value.map(literalOf));
  if (typeof value !== 'object' || value === null) return node('Identifier', String(value ?? 'none'));
  const entries = Object.entries(value).filter(([, each]) => each !== undefined);
  return node('ObjectLiteral', new Map(entries.map(([key, each]) => [literalOf(key), literalOf(each)])));
}

/** A template that was read. @throws Error for what is no Jinja, and what is too long */
export function boundedTemplate(
  source: string,
): (values: { readonly messages: readonly object[]; readonly [name: string]: unknown }) => string {
  if (source.length > longestSource)
    throw new Error(`it has ${source.length} characters; at most ${longestSource} are read`);
  // Python's lexer has one kind of line end.
  const { parsed } = new Template(source.replace(/\r\n?/g, '\n'));
  const program = asInPython(parsed) as typeof parsed;
  return (values) => {
    const characters = JSON.stringify([values.messages, values['tools']]).length;
    const environment = new Environment();
    const names = { ...constants, range, raise_exception: raise, strftime_now: strftimeNow, ...values };
    for (const [name, value] of Object.entries(names))
      if (typeof value === 'function' || !hasFloat(value)) environment.set(name, value);
    for (const name of ['messages', 'tools'])
      if (hasFloat(values[name]))
        environment.setVariable(name, new Interpreter().evaluate(literalOf(values[name]), environment));
    const most = leastWork + workPerMessage * values.messages.length + characters;
    return String(new BoundedInterpreter(environment, most).run(program).value);
  };
}

const constants = { true: true, false: false, none: null, True: true, False: false, None: null };

function raise(message: unknown): never {
  throw new Error(String(message));
}

/** The library's own, which it hands to nobody but templates. */
const strftimeNow = (format: unknown) => new Template('{{ strftime_now(format) }}').render({ format });
