import { isFilter } from './filters.js';
import type { ArithmeticOperator, CallArguments, Comparison, Expression, NamedCall } from './nodes.js';
import { isTest } from './tests.js';
import { TokenReader } from './token-reader.js';

/** Names that are values. */
export const constants: Readonly<Record<string, boolean | null>> = {
  true: true,
  True: true,
  false: false,
  False: false,
  none: null,
  None: null,
};
const comparisons = ['==', '!=', '<', '<=', '>', '>=', 'in'];

/** Reads the expressions of a template. */
export abstract class ExpressionParser extends TokenReader {
  /** Whether `caller` was read in the macro that is read now, and `loop` in the condition of a loop. */
  protected readsCaller = false;
  protected readsLoop = false;

  /** One expression, or a tuple of several with commas between. */
  protected tuple(withChoice = true, end?: string, isEmptyAllowed = false): Expression {
    const items: Expression[] = [];
    let isTuple = false;
    while (!this.is('close') && !this.is('operator', ')') && !(end !== undefined && this.is('name', end))) {
      items.push(withChoice ? this.expression() : this.or());
      if (!this.skip('operator', ',')) break;
      isTuple = true;
    }
    if (items.length === 0 && !isEmptyAllowed) this.fail('an expression is missing');
    return isTuple || items.length === 0 ? { kind: 'tuple', items } : items[0]!;
  }

  protected expression(): Expression {
    return this.nested(() => {
      let then = this.or();
      while (this.skip('name', 'if')) {
        const test = this.or();
        const otherwise = this.skip('name', 'else') ? this.expression() : undefined;
        then = { kind: 'choice', test, then, otherwise };
      }
      return then;
    });
  }

  protected or(): Expression {
    let left = this.#and();
    while (this.skip('name', 'or')) left = { kind: 'or', left, right: this.#and() };
    return left;
  }
  #and(): Expression {
    let left = this.#not();
    while (this.skip('name', 'and')) left = { kind: 'and', left, right: this.#not() };
    return left;
  }
  #not(): Expression {
    return this.skip('name', 'not') ? { kind: 'not', operand: this.nested(() => this.#not()) } : this.#compare();
  }

  #compare(): Expression {
    const first = this.#arithmetic(['+', '-'], () => this.#concat());
    const others: (readonly [Comparison, Expression])[] = [];
    for (;;) {
      const isNotIn = this.is('name', 'not') && this.is('name', 'in', 1);
      const { type, value } = this.token;
      const isOther = (type === 'operator' || (type === 'name' && value === 'in')) && comparisons.includes(value);
      if (!isNotIn && !isOther) return others.length === 0 ? first : { kind: 'compare', first, others };
      this.advance(isNotIn ? 2 : 1);
      const operator = isNotIn ? 'not in' : (value as Comparison);
      others.push([operator, this.#arithmetic(['+', '-'], () => this.#concat())]);
    }
  }

  #arithmetic(operators: readonly ArithmeticOperator[], operand: () => Expression): Expression {
    let left = operand();
    for (;;) {
      const operator = operators.find((each) => this.skip('operator', each));
      if (operator === undefined) return left;
      left = { kind: 'arithmetic', operator, left, right: operand() };
    }
  }
  #concat(): Expression {
    const part = () => this.#arithmetic(['*', '/', '//', '%'], () => this.#arithmetic(['**'], () => this.#unary()));
    const parts = [part()];
    while (this.skip('operator', '~')) parts.push(part());
    return parts.length === 1 ? parts[0]! : { kind: 'concat', parts };
  }

  #unary(withFilters = true): Expression {
    const kind = this.skip('operator', '-') ? 'negative' : this.skip('operator', '+') ? 'positive' : undefined;
    const operand =
      kind === undefined ? this.#primary() : ({ kind, operand: this.nested(() => this.#unary(false)) } as const);
    const value = this.#postfix(operand);
    return withFilters ? this.#filtered(value) : value;
  }

  #primary(): Expression {
    const token = this.token;
    this.advance();
    if (token.type === 'number') return { kind: 'constant', value: token.value };
    if (token.type === 'string') {
      let text = token.value;
      while (this.is('string')) text += this.expect('string');
      return { kind: 'constant', value: text };
    }
    if (token.type === 'name') {
      const constant = Object.hasOwn(constants, token.value) ? constants[token.value] : undefined;
      if (constant !== undefined) return { kind: 'constant', value: constant };
      if (token.value === 'caller') this.readsCaller = true;
      if (token.value === 'loop') this.readsLoop = true;
      return { kind: 'name', name: token.value };
    }
    if (token.type === 'operator') {
      if (token.value === '(') {
        const value = this.nested(() => this.tuple(true, undefined, true));
        this.expect('operator', ')');
        return value;
      }
      if (token.value === '[') return { kind: 'list', items: this.#listed(']', () => this.expression()) };
      if (token.value === '{') {
        const pair = (): [Expression, Expression] => {
          const key = this.expression();
          this.expect('operator', ':');
          return [key, this.expression()];
        };
        return { kind: 'dict', pairs: this.#listed('}', pair) };
      }
    }
    this.advance(-1);
    return this.fail(token.type === 'end' ? 'it ends within an expression' : `unexpected '${token.value}'`);
  }

  /** With commas between, up to the bracket that ends it. */
  #listed<T>(end: string, read: () => T): T[] {
    const items: T[] = [];
    while (!this.is('operator', end)) {
      if (items.length > 0) this.expect('operator', ',');
      if (this.is('operator', end)) break;
      items.push(read());
    }
    this.advance();
    return items;
  }

  #postfix(value: Expression): Expression {
    for (let object = value; ; ) {
      if (this.skip('operator', '.')) {
        if (this.token.type === 'number' && typeof this.token.value === 'bigint') {
          object = { kind: 'item', object, index: { kind: 'constant', value: this.token.value } };
          this.advance();
        } else object = { kind: 'attribute', object, name: this.expect('name') };
      } else if (this.skip('operator', '[')) object = this.#subscript(object);
      else if (this.is('operator', '(')) object = { kind: 'call', callee: object, ...this.#arguments() };
      else return object;
    }
  }

  #subscript(object: Expression): Expression {
    const bounds = [this.#bound()];
    while (bounds.length < 3 && this.skip('operator', ':')) bounds.push(this.#bound());
    if (this.is('operator', ',')) this.fail('an index of several parts is not supported');
    this.expect('operator', ']');
    if (bounds.length > 1) return { kind: 'slice', object, bounds };
    const [index] = bounds;
    return index === undefined ? this.fail('an index is missing') : { kind: 'item', object, index };
  }
  #bound(): Expression | undefined {
    return [':', ']'].some((end) => this.is('operator', end)) ? undefined : this.expression();
  }

  #arguments(): CallArguments {
    const args: Expression[] = [];
    const named: (readonly [string, Expression])[] = [];
    this.expect('operator', '(');
    this.#listed(')', () => {
      if (['*', '**'].some((spread) => this.is('operator', spread)))
        this.fail('arguments that are spread are not supported');
      if (this.is('name') && this.is('operator', '=', 1)) {
        const name = this.expect('name');
        this.advance();
        if (named.some(([other]) => other === name)) this.fail(`it gives ${name} twice`);
        named.push([name, this.expression()]);
      } else {
        if (named.length > 0) this.fail('an argument follows one with a name');
        args.push(this.expression());
      }
    });
    return { args, named };
  }

  #filtered(value: Expression): Expression {
    for (let operand = value; ; ) {
      if (this.skip('operator', '|')) operand = { kind: 'filter', operand, call: this.namedCall(isFilter) };
      else if (this.skip('name', 'is')) operand = this.#test(operand);
      else if (this.is('operator', '(')) operand = { kind: 'call', callee: operand, ...this.#arguments() };
      else return operand;
    }
  }
  protected filters(): NamedCall[] {
    const filters: NamedCall[] = [];
    while (this.skip('operator', '|')) filters.push(this.namedCall(isFilter));
    return filters;
  }

  protected namedCall(isKnown: (name: string) => boolean): NamedCall {
    const name = this.#name(isKnown);
    return { name, ...(this.is('operator', '(') ? this.#arguments() : { args: [], named: [] }) };
  }
  #name(isKnown: (name: string) => boolean): string {
    const name = this.expect('name');
    if (!isKnown(name)) this.fail(`'${name}' is no ${isKnown === isTest ? 'test' : 'filter'}`);
    return name;
  }

  #test(operand: Expression): Expression {
    const isNegated = this.skip('name', 'not');
    const name = this.#name(isTest);
    let given: CallArguments = { args: [], named: [] };
    if (this.is('operator', '(')) given = this.#arguments();
    else if (this.#beginsValue()) {
      if (this.is('name', 'is')) this.fail('a test follows a test');
      given = { args: [this.#postfix(this.#primary())], named: [] };
    }
    const test: Expression = { kind: 'test', operand, call: { name, ...given } };
    return isNegated ? { kind: 'not', operand: test } : test;
  }
  #beginsValue(): boolean {
    const { type, value } = this.token;
    if (type === 'name') return !['else', 'or', 'and'].includes(value);
    return type === 'string' || type === 'number' || (type === 'operator' && (value === '[' || value === '{'));
  }
}
