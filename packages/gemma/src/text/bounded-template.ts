import { Environment, Interpreter, Template } from '@huggingface/jinja';

// A template is a program of whoever published the model, and runs in the caller's thread: it must end, and take no memory to speak of.

/** Jinja source of more characters is not read; real templates have some thousands. */
const longestSource = 2 ** 20;
/** Characters of any text, and values in any list or object (those within included), on the way. */
const largestValue = 2 ** 22;
/** Numbers of a `range`. */
const longestRange = 100_000;
/** Blanks of an indentation. */
const widestIndent = 1000;
/** Expressions and blocks within each other; a macro that calls itself adds some with each call. */
const deepest = 400;
/** Work is counted in some microseconds: an expression is 1, and so are so many characters or entries of what comes out of it. */
const charactersPerWork = 50;
const entriesPerWork = 10;
const leastWork = 50_000;
const workPerMessage = 500;

type Node = Parameters<Interpreter['evaluate']>[0];
type Value = ReturnType<Interpreter['evaluate']>;

/** What a node of the filters that indent says. */
interface Filtered {
  readonly filter?: {
    readonly callee?: { readonly value?: unknown };
    readonly args?: readonly (Node & { value?: Node })[];
  };
}

/** Evaluates as the library does, and counts. */
class BoundedInterpreter extends Interpreter {
  readonly #mostWork: number;
  #work = 0;
  #depth = 0;
  readonly #widths = new WeakSet<object>();
  readonly #sizes = new WeakMap<object, number>();

  constructor(environment: Environment, mostWork: number) {
    super(environment);
    this.#mostWork = mostWork;
  }

  override evaluate(node: Node, environment: Environment): Value {
    if (++this.#depth > deepest) throw new Error(`it nests deeper than ${deepest} levels`);
    this.#noteWidths(node);
    const value = super.evaluate(node, environment);
    this.#depth--;
    this.#check(node, value);
    return value;
  }

  /** Remembers which expressions say how wide an indentation is: a large one makes much of little. */
  #noteWidths(node: Node): void {
    const { filter } = (node ?? {}) as Filtered;
    if (filter?.callee?.value !== 'indent' && filter?.callee?.value !== 'tojson') return;
    for (const argument of filter.args ?? [])
      this.#widths.add(argument.type === 'KeywordArgumentExpression' && argument.value ? argument.value : argument);
  }

  #check(node: Node, { type, value }: Value): void {
    this.#work++;
    if (typeof value === 'string') {
      if (value.length > largestValue) throw new Error(`it makes a text of more than ${largestValue} characters`);
      this.#work += value.length / charactersPerWork;
    } else if (typeof value === 'number') {
      if (value > widestIndent && node !== undefined && this.#widths.has(node))
        throw new Error(`it indents by ${value}; at most ${widestIndent} are allowed`);
    } else if (type !== 'FunctionValue' && isContainer(value)) {
      this.#sizeOf(value, 0);
      this.#work += entriesOf(value) / entriesPerWork;
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

/** A template that was read. @throws Error for what is no Jinja, and what is too long */
export function boundedTemplate(
  source: string,
): (values: { readonly messages: readonly object[]; readonly [name: string]: unknown }) => string {
  if (source.length > longestSource)
    throw new Error(`it has ${source.length} characters; at most ${longestSource} are read`);
  const { parsed } = new Template(source);
  return (values) => {
    const characters = JSON.stringify([values.messages, values['tools']]).length;
    const environment = new Environment();
    const names = { ...constants, range, raise_exception: raise, strftime_now: strftimeNow, ...values };
    for (const [name, value] of Object.entries(names)) environment.set(name, value);
    const most = leastWork + workPerMessage * values.messages.length + characters;
    return String(new BoundedInterpreter(environment, most).run(parsed).value);
  };
}

const constants = { true: true, false: false, none: null, True: true, False: false, None: null };

function raise(message: unknown): never {
  throw new Error(String(message));
}

/** The library's own, which it hands to nobody but templates. */
const strftimeNow = (format: unknown) => new Template('{{ strftime_now(format) }}').render({ format });
