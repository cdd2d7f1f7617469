import { isFilter } from './filters.js';
import { lineOf, plainLines, type Token, tokensOf } from './lexer.js';
import type {
  ArithmeticOperator,
  Body,
  CallArguments,
  Comparison,
  Expression,
  MacroDefinition,
  NamedCall,
  Statement,
  Target,
} from './nodes.js';
import { isTest } from './tests.js';

/** Expressions and blocks within each other. */
export const deepest = 400;

/** The tree of a template. @throws Error for what is no Jinja, and for parts of it that are not supported, with the line */
export function parseTemplate(source: string): Body {
  return new Parser(plainLines(source)).template();
}

const constants: Readonly<Record<string, boolean | null>> = {
  true: true,
  True: true,
  false: false,
  False: false,
  none: null,
  None: null,
};
const comparisons = ['==', '!=', '<', '<=', '>', '>=', 'in'];
const unsupported = ['block', 'extends', 'include', 'import', 'from', 'autoescape'];

class Parser {
  readonly #tokens: readonly Token[];
  #next = 0;
  #depth = 0;
  /** Whether `break` has a loop to leave. */
  #isInLoop = false;
  /** `caller` was read in the macro that is read now. */
  #readsCaller = false;
  #readsLoop = false;

  constructor(readonly source: string) {
    this.#tokens = tokensOf(source);
  }

  template(): Body {
    const body = this.#body([]);
    if (this.#token.type !== 'end') this.#fail(`unexpected '${this.#token.value}'`);
    return body;
  }

  get #token(): Token {
    return this.#tokens[this.#next]!;
  }
  #fail(problem: string): never {
    throw new Error(`line ${lineOf(this.source, this.#token.at)}: ${problem}`);
  }
  #is(type: Token['type'], value?: string, ahead = 0): boolean {
    const token = this.#tokens[this.#next + ahead];
    return token?.type === type && (value === undefined || token.value === value);
  }
  #skip(type: Token['type'], value?: string): boolean {
    const is = this.#is(type, value);
    if (is) this.#next++;
    return is;
  }
  #expect(type: Token['type'], value?: string): string {
    if (!this.#is(type, value)) {
      const found = this.#token.type === 'end' ? 'the end' : `'${this.#token.value}'`;
      this.#fail(`expected ${value === undefined ? `a ${type}` : `'${value}'`}, found ${found}`);
    }
    return String(this.#tokens[this.#next++]!.value);
  }
  #nested<T>(read: () => T): T {
    if (++this.#depth > deepest) this.#fail(`it nests deeper than ${deepest} levels`);
    const read_ = read();
    this.#depth--;
    return read_;
  }

  // Statements

  /** Up to the tag that one of `ends` begins; its name is what is read next. */
  #body(ends: readonly string[]): Body {
    return this.#nested(() => {
      const body: Statement[] = [];
      for (;;) {
        const token = this.#token;
        if (token.type === 'text') {
          this.#next++;
          body.push({ kind: 'text', text: token.value });
        } else if (this.#skip('open', '{{')) {
          body.push({ kind: 'print', value: this.#tuple() });
          this.#expect('close', '}}');
        } else if (this.#skip('open', '{%')) {
          if (token.type === 'open' && this.#is('name') && ends.includes(String(this.#token.value))) return body;
          body.push(...this.#statement());
          this.#expect('close', '%}');
        } else {
          if (ends.length > 0) this.#fail(`'${ends.join("' or '")}' is missing`);
          return body;
        }
      }
    });
  }

  /** The rest of a tag, and what stands up to the one that ends it. */
  #block(...ends: readonly string[]): Body {
    this.#skip('operator', ':');
    this.#expect('close', '%}');
    return this.#body(ends);
  }
  #closed(end: string): Body {
    const body = this.#block(end);
    this.#expect('name', end);
    return body;
  }
  /** A block from which no loop can be left. */
  #apart<T>(read: () => T): T {
    const before = this.#isInLoop;
    this.#isInLoop = false;
    const value = read();
    this.#isInLoop = before;
    return value;
  }

  #statement(): Statement[] {
    const name = this.#expect('name');
    switch (name) {
      case 'for':
        return [this.#for()];
      case 'if':
        return [this.#if()];
      case 'set':
        return [this.#set()];
      case 'with':
        return [this.#with()];
      case 'macro': {
        const macro = this.#expect('name');
        return [{ kind: 'macro', macro: this.#macro(macro, this.#parameters(), 'endmacro') }];
      }
      case 'call':
        return [this.#callBlock()];
      case 'filter': {
        const filters = [this.#namedCall(isFilter), ...this.#filters()];
        return [{ kind: 'filter block', filters, body: this.#apart(() => this.#closed('endfilter')) }];
      }
      case 'generation':
        return [{ kind: 'generation', body: this.#apart(() => this.#closed('endgeneration')) }];
      case 'print': {
        const values: Statement[] = [];
        while (!this.#is('close')) {
          if (values.length > 0) this.#expect('operator', ',');
          values.push({ kind: 'print', value: this.#expression() });
        }
        return values;
      }
      case 'break':
      case 'continue':
        if (!this.#isInLoop) this.#fail(`it has a ${name} outside of a loop`);
        return [{ kind: name }];
      default:
        return this.#fail(`'${name}' ${unsupported.includes(name) ? 'is not supported' : 'is no tag'}`);
    }
  }

  #for(): Statement {
    const target = this.#targets({ end: 'in' });
    this.#expect('name', 'in');
    const iterable = this.#tuple(false, 'recursive');
    this.#readsLoop = false;
    const test = this.#skip('name', 'if') ? this.#expression() : undefined;
    if (test !== undefined && this.#readsLoop) this.#fail("'loop' in the condition of a loop is not supported");
    if (this.#is('name', 'recursive')) this.#fail("'recursive' is not supported");
    const before = this.#isInLoop;
    this.#isInLoop = true;
    const body = this.#block('endfor', 'else');
    this.#isInLoop = before;
    const otherwise = this.#expect('name') === 'else' ? this.#closed('endfor') : [];
    return { kind: 'for', target, iterable, test, body, otherwise };
  }

  #if(): Statement {
    const branches: (readonly [Expression, Body])[] = [];
    for (;;) {
      const test = this.#tuple(false);
      branches.push([test, this.#block('elif', 'else', 'endif')]);
      const end = this.#expect('name');
      if (end === 'elif') continue;
      return { kind: 'if', branches, otherwise: end === 'else' ? this.#closed('endif') : [] };
    }
  }

  #set(): Statement {
    const target = this.#targets({ withFields: true });
    if (this.#skip('operator', '=')) return { kind: 'set', target, value: this.#tuple() };
    const filters = this.#filters();
    return { kind: 'set block', target, filters, body: this.#apart(() => this.#closed('endset')) };
  }

  #with(): Statement {
    const values: (readonly [Target, Expression])[] = [];
    while (!this.#is('close')) {
      if (values.length > 0) this.#expect('operator', ',');
      const target = this.#targets({});
      this.#expect('operator', '=');
      values.push([target, this.#expression()]);
    }
    return { kind: 'with', values, body: this.#closed('endwith') };
  }

  #parameters(): MacroDefinition['parameters'] {
    const parameters: (readonly [string, Expression | undefined])[] = [];
    this.#expect('operator', '(');
    while (!this.#is('operator', ')')) {
      if (parameters.length > 0) this.#expect('operator', ',');
      const name = this.#expect('name');
      if (
        Object.hasOwn(constants, name) ||
        ['caller', 'varargs', 'kwargs', 'loop'].includes(name) ||
        parameters.some(([p]) => p === name)
      )
        this.#fail(`'${name}' cannot be the name of an argument`);
      const byDefault = this.#skip('operator', '=') ? this.#expression() : undefined;
      if (byDefault === undefined && parameters.at(-1)?.[1] !== undefined)
        this.#fail(`'${name}' has no default, but follows one that has`);
      parameters.push([name, byDefault]);
    }
    this.#next++;
    return parameters;
  }

  #macro(name: string, parameters: MacroDefinition['parameters'], end: string): MacroDefinition {
    const before = this.#readsCaller;
    this.#readsCaller = false;
    const body = this.#apart(() => this.#closed(end));
    const macro = { name, parameters, body, readsCaller: this.#readsCaller };
    this.#readsCaller ||= before;
    return macro;
  }

  #callBlock(): Statement {
    const parameters = this.#is('operator', '(') ? this.#parameters() : [];
    const call = this.#expression();
    if (call.kind !== 'call') return this.#fail('it calls no macro');
    return { kind: 'call block', call, caller: this.#macro('caller', parameters, 'endcall') };
  }

  /** Up to `end`, or the end of the tag. Fields of namespaces may be set, and nothing else. */
  #targets({ end, withFields = false }: { readonly end?: string; readonly withFields?: boolean }): Target {
    const items: Target[] = [];
    let isTuple = false;
    while (!this.#is('close') && !this.#is('operator', ')') && !(end !== undefined && this.#is('name', end))) {
      items.push(this.#target(withFields));
      if (!this.#skip('operator', ',')) break;
      isTuple = true;
    }
    if (items.length === 0) this.#fail('it assigns to nothing');
    return isTuple ? { kind: 'tuple', items } : items[0]!;
  }

  #target(withFields: boolean): Target {
    if (this.#skip('operator', '(')) {
      const target = this.#nested(() => this.#targets({}));
      this.#expect('operator', ')');
      return target;
    }
    const name = this.#expect('name');
    if (withFields && this.#skip('operator', '.')) return { kind: 'field', object: name, name: this.#expect('name') };
    if (Object.hasOwn(constants, name) || name === 'loop') this.#fail(`it assigns to '${name}'`);
    return { kind: 'name', name };
  }

  // Expressions

  /** One expression, or a tuple of several with commas between. */
  #tuple(withChoice = true, end?: string, isEmptyAllowed = false): Expression {
    const items: Expression[] = [];
    let isTuple = false;
    while (!this.#is('close') && !this.#is('operator', ')') && !(end !== undefined && this.#is('name', end))) {
      items.push(withChoice ? this.#expression() : this.#or());
      if (!this.#skip('operator', ',')) break;
      isTuple = true;
    }
    if (items.length === 0 && !isEmptyAllowed) this.#fail('an expression is missing');
    return isTuple || items.length === 0 ? { kind: 'tuple', items } : items[0]!;
  }

  #expression(): Expression {
    return this.#nested(() => {
      let then = this.#or();
      while (this.#skip('name', 'if')) {
        const test = this.#or();
        const otherwise = this.#skip('name', 'else') ? this.#expression() : undefined;
        then = { kind: 'choice', test, then, otherwise };
      }
      return then;
    });
  }

  #or(): Expression {
    let left = this.#and();
    while (this.#skip('name', 'or')) left = { kind: 'or', left, right: this.#and() };
    return left;
  }
  #and(): Expression {
    let left = this.#not();
    while (this.#skip('name', 'and')) left = { kind: 'and', left, right: this.#not() };
    return left;
  }
  #not(): Expression {
    return this.#skip('name', 'not') ? { kind: 'not', operand: this.#nested(() => this.#not()) } : this.#compare();
  }

  #compare(): Expression {
    const first = this.#arithmetic(['+', '-'], () => this.#concat());
    const others: (readonly [Comparison, Expression])[] = [];
    for (;;) {
      const isNotIn = this.#is('name', 'not') && this.#is('name', 'in', 1);
      const { type, value } = this.#token;
      const isOther = (type === 'operator' || (type === 'name' && value === 'in')) && comparisons.includes(value);
      if (!isNotIn && !isOther) return others.length === 0 ? first : { kind: 'compare', first, others };
      this.#next += isNotIn ? 2 : 1;
      const operator = isNotIn ? 'not in' : (value as Comparison);
      others.push([operator, this.#arithmetic(['+', '-'], () => this.#concat())]);
    }
  }

  #arithmetic(operators: readonly ArithmeticOperator[], operand: () => Expression): Expression {
    let left = operand();
    for (;;) {
      const operator = operators.find((each) => this.#skip('operator', each));
      if (operator === undefined) return left;
      left = { kind: 'arithmetic', operator, left, right: operand() };
    }
  }
  #concat(): Expression {
    const part = () => this.#arithmetic(['*', '/', '//', '%'], () => this.#arithmetic(['**'], () => this.#unary()));
    const parts = [part()];
    while (this.#skip('operator', '~')) parts.push(part());
    return parts.length === 1 ? parts[0]! : { kind: 'concat', parts };
  }

  #unary(withFilters = true): Expression {
    const kind = this.#skip('operator', '-') ? 'negative' : this.#skip('operator', '+') ? 'positive' : undefined;
    const operand =
      kind === undefined ? this.#primary() : ({ kind, operand: this.#nested(() => this.#unary(false)) } as const);
    const value = this.#postfix(operand);
    return withFilters ? this.#filtered(value) : value;
  }

  #primary(): Expression {
    const token = this.#token;
    this.#next++;
    if (token.type === 'number') return { kind: 'constant', value: token.value };
    if (token.type === 'string') {
      let text = token.value;
      while (this.#is('string')) text += this.#expect('string');
      return { kind: 'constant', value: text };
    }
    if (token.type === 'name') {
      const constant = Object.hasOwn(constants, token.value) ? constants[token.value] : undefined;
      if (constant !== undefined) return { kind: 'constant', value: constant };
      if (token.value === 'caller') this.#readsCaller = true;
      if (token.value === 'loop') this.#readsLoop = true;
      return { kind: 'name', name: token.value };
    }
    if (token.type === 'operator') {
      if (token.value === '(') {
        const value = this.#nested(() => this.#tuple(true, undefined, true));
        this.#expect('operator', ')');
        return value;
      }
      if (token.value === '[') return { kind: 'list', items: this.#listed(']', () => this.#expression()) };
      if (token.value === '{') {
        const pair = (): [Expression, Expression] => {
          const key = this.#expression();
          this.#expect('operator', ':');
          return [key, this.#expression()];
        };
        return { kind: 'dict', pairs: this.#listed('}', pair) };
      }
    }
    this.#next--;
    return this.#fail(token.type === 'end' ? 'it ends within an expression' : `unexpected '${token.value}'`);
  }

  /** With commas between, up to the bracket that ends it. */
  #listed<T>(end: string, read: () => T): T[] {
    const items: T[] = [];
    while (!this.#is('operator', end)) {
      if (items.length > 0) this.#expect('operator', ',');
      if (this.#is('operator', end)) break;
      items.push(read());
    }
    this.#next++;
    return items;
  }

  #postfix(value: Expression): Expression {
    for (let object = value; ; ) {
      if (this.#skip('operator', '.')) {
        if (this.#token.type === 'number' && typeof this.#token.value === 'bigint') {
          object = { kind: 'item', object, index: { kind: 'constant', value: this.#token.value } };
          this.#next++;
        } else object = { kind: 'attribute', object, name: this.#expect('name') };
      } else if (this.#skip('operator', '[')) object = this.#subscript(object);
      else if (this.#is('operator', '(')) object = { kind: 'call', callee: object, ...this.#arguments() };
      else return object;
    }
  }

  #subscript(object: Expression): Expression {
    const bounds = [this.#bound()];
    while (bounds.length < 3 && this.#skip('operator', ':')) bounds.push(this.#bound());
    if (this.#is('operator', ',')) this.#fail('an index of several parts is not supported');
    this.#expect('operator', ']');
    if (bounds.length > 1) return { kind: 'slice', object, bounds };
    const [index] = bounds;
    return index === undefined ? this.#fail('an index is missing') : { kind: 'item', object, index };
  }
  #bound(): Expression | undefined {
    return [':', ']'].some((end) => this.#is('operator', end)) ? undefined : this.#expression();
  }

  #arguments(): CallArguments {
    const args: Expression[] = [];
    const named: (readonly [string, Expression])[] = [];
    this.#expect('operator', '(');
    this.#listed(')', () => {
      if (['*', '**'].some((spread) => this.#is('operator', spread)))
        this.#fail('arguments that are spread are not supported');
      if (this.#is('name') && this.#is('operator', '=', 1)) {
        const name = this.#expect('name');
        this.#next++;
        if (named.some(([other]) => other === name)) this.#fail(`it gives ${name} twice`);
        named.push([name, this.#expression()]);
      } else {
        if (named.length > 0) this.#fail('an argument follows one with a name');
        args.push(this.#expression());
      }
    });
    return { args, named };
  }

  #filtered(value: Expression): Expression {
    for (let operand = value; ; ) {
      if (this.#skip('operator', '|')) operand = { kind: 'filter', operand, call: this.#namedCall(isFilter) };
      else if (this.#skip('name', 'is')) operand = this.#test(operand);
      else if (this.#is('operator', '(')) operand = { kind: 'call', callee: operand, ...this.#arguments() };
      else return operand;
    }
  }
  #filters(): NamedCall[] {
    const filters: NamedCall[] = [];
    while (this.#skip('operator', '|')) filters.push(this.#namedCall(isFilter));
    return filters;
  }

  #namedCall(isKnown: (name: string) => boolean): NamedCall {
    const name = this.#name(isKnown);
    return { name, ...(this.#is('operator', '(') ? this.#arguments() : { args: [], named: [] }) };
  }
  #name(isKnown: (name: string) => boolean): string {
    const name = this.#expect('name');
    if (!isKnown(name)) this.#fail(`'${name}' is no ${isKnown === isTest ? 'test' : 'filter'}`);
    return name;
  }

  #test(operand: Expression): Expression {
    const isNegated = this.#skip('name', 'not');
    const name = this.#name(isTest);
    let given: CallArguments = { args: [], named: [] };
    if (this.#is('operator', '(')) given = this.#arguments();
    else if (this.#beginsValue()) {
      if (this.#is('name', 'is')) this.#fail('a test follows a test');
      given = { args: [this.#postfix(this.#primary())], named: [] };
    }
    const test: Expression = { kind: 'test', operand, call: { name, ...given } };
    return isNegated ? { kind: 'not', operand: test } : test;
  }
  #beginsValue(): boolean {
    const { type, value } = this.#token;
    if (type === 'name') return !['else', 'or', 'and'].includes(value);
    return type === 'string' || type === 'number' || (type === 'operator' && (value === '[' || value === '{'));
  }
}
