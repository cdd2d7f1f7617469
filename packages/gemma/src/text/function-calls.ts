// Calls of functions as models write them: `call:NAME{key:value}` between marks.

/** A call that a model wrote. */
export interface FunctionCall {
  readonly name: string;
  /** JSON values by the names of parameters. */
  readonly arguments: Readonly<Record<string, unknown>>;
}

/** The marks of one way to write calls. */
interface CallForm {
  readonly start: string;
  readonly end: string;
  /** Before and behind a text. */
  readonly quote: string;
}

const forms: readonly CallForm[] = [
  // https://ai.google.dev/gemma/docs/functiongemma/formatting-and-best-practices
  { start: '<start_function_call>', end: '<end_function_call>', quote: '<escape>' },
  // Of later generations.
  { start: '<|tool_call>', end: '<tool_call|>', quote: '<|"|>' },
];

/** What a call begins with in an answer. */
export const callStarts: readonly string[] = forms.map(({ start }) => start);
/** Marks of calls, and of the responses to them, that are tokens of their own. */
export const callMarks: readonly string[] = [
  ...forms.flatMap(({ start, end, quote }) => [start, end, quote]),
  '<|tool_response>',
  '<tool_response|>',
];

const numberForm = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
/** Lists and objects within each other: no call has so many, and who reads them calls itself for each. */
const deepest = 100;

/** Of a text that is no call. */
class NoCall extends Error {}

/**
 * The calls in an answer, such as `<|tool_call>call:NAME{key:<|"|>text<|"|>,other:[1,true]}<tool_call|>`, and what is said beside them;
 * undefined where there is none, or any is not as it should be: then the answer is a text.
 */
export function readFunctionCalls(answer: string): { content: string; calls: FunctionCall[] } | undefined {
  const form = forms.find(({ start }) => answer.includes(start));
  if (form === undefined) return undefined;
  const [before, ...parts] = answer.split(form.start);
  let content = before!;
  try {
    const calls = parts.map((part) => {
      const reader = new CallReader(part, form);
      const call = reader.call();
      content += reader.rest;
      return call;
    });
    return { content: content.trim(), calls };
  } catch (error) {
    if (error instanceof NoCall) return undefined;
    throw error;
  }
}

/** Whether two answers make the same calls, in the same order, and say the same beside them; undefined where the first makes none. */
export function sameFunctionCalls(expected: string, answer: string): boolean | undefined {
  const wanted = readFunctionCalls(expected);
  return wanted && isSame(wanted, readFunctionCalls(answer));
}

/** JSON values, whatever the order of keys. */
function isSame(a: unknown, b: unknown): boolean {
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return a === b;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const fields = new Map(Object.entries(b));
  const entries = Object.entries(a);
  return (
    entries.length === fields.size && entries.every(([key, value]) => fields.has(key) && isSame(value, fields.get(key)))
  );
}

class CallReader {
  readonly #text: string;
  readonly #form: CallForm;
  #at = 0;

  constructor(text: string, form: CallForm) {
    this.#text = text;
    this.#form = form;
  }

  get rest(): string {
    return this.#text.slice(this.#at);
  }

  call(): FunctionCall {
    this.#take('call:');
    const name = this.#until(/[{<\s]/g);
    const given = this.#fields(0);
    this.#take(this.#form.end);
    return { name, arguments: given };
  }

  #value(depth: number): unknown {
    if (depth > deepest) throw new NoCall();
    this.#blanks();
    if (this.#has(this.#form.quote)) return this.#escaped();
    if (this.#starts('{')) return this.#fields(depth);
    if (this.#starts('[')) return this.#list(depth);
    for (const [word, value] of [
      ['true', true],
      ['false', false],
      ['null', null],
      // As Python prints it, and with it templates that name no value of their own.
      ['None', null],
      ['True', true],
      ['False', false],
    ] as const)
      if (this.#has(word)) return value;
    numberForm.lastIndex = this.#at;
    const [number] = numberForm.exec(this.#text) ?? [];
    if (number === undefined) throw new NoCall();
    this.#at += number.length;
    return Number(number);
  }

  #escaped(): string {
    const { quote } = this.#form;
    const end = this.#text.indexOf(quote, this.#at);
    if (end < 0) throw new NoCall();
    const text = this.#text.slice(this.#at, end);
    this.#at = end + quote.length;
    return text;
  }

  #fields(depth: number): Record<string, unknown> {
    const fields = new Map<string, unknown>();
    this.#each('{', '}', () => {
      this.#blanks();
      const key = this.#has(this.#form.quote) ? this.#escaped() : this.#until(/[:{}[\],<]/g);
      this.#take(':');
      // Which of two is meant is not told.
      if (fields.has(key)) throw new NoCall();
      fields.set(key, this.#value(depth + 1));
    });
    return Object.fromEntries(fields);
  }

  #list(depth: number): unknown[] {
    const values: unknown[] = [];
    this.#each('[', ']', () => values.push(this.#value(depth + 1)));
    return values;
  }

  #each(open: string, close: string, one: () => void): void {
    this.#take(open);
    if (this.#has(close)) return;
    do one();
    while (this.#has(','));
    this.#take(close);
  }

  /** A name: what is before any of these signs. */
  #until(signs: RegExp): string {
    signs.lastIndex = this.#at;
    const end = signs.exec(this.#text)?.index ?? this.#text.length;
    const name = this.#text.slice(this.#at, end).trim();
    if (name === '') throw new NoCall();
    this.#at = end;
    return name;
  }

  #take(expected: string): void {
    if (!this.#has(expected)) throw new NoCall();
  }

  #has(expected: string): boolean {
    this.#blanks();
    if (!this.#starts(expected)) return false;
    this.#at += expected.length;
    return true;
  }

  #starts(expected: string): boolean {
    return this.#text.startsWith(expected, this.#at);
  }

  #blanks(): void {
    while (/\s/.test(this.#text.charAt(this.#at))) this.#at++;
  }
}
