import { attribute, item, slice } from './attributes.js';
import { filter } from './filters.js';
import { loopOver } from './loop.js';
import type { Body, CallArguments, Expression, MacroDefinition, NamedCall, Statement, Target } from './nodes.js';
import { arithmetic, compares, signed } from './operators.js';
import { Scope } from './scope.js';
import { test } from './tests.js';
import { deepest } from './token-reader.js';
import {
  bind,
  Callable,
  charactersPerValue,
  checkLength,
  Dict,
  type Given,
  isTrue,
  itemsOf,
  Lazy,
  List,
  Markup,
  Namespace,
  orElse,
  str,
  Tuple,
  typeName,
  Undefined,
  type Value,
  weightOf,
} from './values.js';

/** Work is counted in some microseconds: an expression is 1, and so are so many entries of what comes out of it. */
const entriesPerWork = 10;

/** What is written; `generated`: parts of it in `{% generation %}`, where these are tracked. */
interface Output {
  text: string;
  readonly generated: (readonly [from: number, to: number])[] | undefined;
}
type Leaving = 'break' | 'continue' | undefined;

/** Runs the tree of a template, which must end and take no memory to speak of, whoever wrote it. */
export class Evaluator {
  #work = 0;
  #depth = 0;

  constructor(readonly mostWork: number) {}

  /** @throws Error for what fails in Python, is not supported, or takes too much */
  render(body: Body, scope: Scope): { text: string; generated: readonly (readonly [number, number])[] } {
    const output = { text: '', generated: [] };
    this.#run(body, scope, output);
    return output;
  }

  #spend(work: number): void {
    this.#work += work;
    if (this.#work > this.mostWork) throw new Error('it takes too much work: does a loop of it never end?');
  }
  #nested<T>(compute: () => T): T {
    if (++this.#depth > deepest) throw new Error(`it nests deeper than ${deepest} levels`);
    try {
      return compute();
    } finally {
      this.#depth--;
    }
  }
  #write(output: Output, text: string): void {
    checkLength(output.text.length + text.length);
    output.text += text;
  }

  // Statements

  #run(body: Body, scope: Scope, output: Output): Leaving {
    return this.#nested(() => {
      for (const statement of body) {
        this.#spend(1);
        const leaving = this.#statement(statement, scope, output);
        if (leaving !== undefined) return leaving;
      }
      return undefined;
    });
  }
  /** What a part writes, as a text. */
  #textOf(body: Body, scope: Scope): string {
    const output = { text: '', generated: undefined };
    this.#run(body, scope, output);
    return output.text;
  }

  #statement(statement: Statement, scope: Scope, output: Output): Leaving {
    switch (statement.kind) {
      case 'text':
        this.#write(output, statement.text);
        return undefined;
      case 'print':
        this.#write(output, this.#printed(this.#value(statement.value, scope)));
        return undefined;
      case 'if': {
        const branch = statement.branches.find(([condition]) => isTrue(this.#value(condition, scope)));
        return this.#run(branch?.[1] ?? statement.otherwise, scope, output);
      }
      case 'for':
        return this.#for(statement, scope, output);
      case 'set':
        this.#assign(statement.target, this.#value(statement.value, scope), scope);
        return undefined;
      case 'set block': {
        const text = this.#textOf(statement.body, new Scope(scope));
        this.#assign(statement.target, this.#filtered(text, statement.filters, scope), scope);
        return undefined;
      }
      case 'filter block': {
        const text = this.#textOf(statement.body, new Scope(scope));
        this.#write(output, this.#written(this.#filtered(text, statement.filters, scope)));
        return undefined;
      }
      case 'with': {
        const inner = new Scope(scope);
        for (const [target, value] of statement.values) this.#assign(target, this.#value(value, scope), inner);
        return this.#run(statement.body, inner, output);
      }
      case 'macro':
        scope.set(statement.macro.name, this.#macro(statement.macro, scope));
        return undefined;
      case 'call block': {
        const caller = this.#macro(statement.caller, scope);
        this.#write(output, this.#written(this.#call(statement.call, scope, caller)));
        return undefined;
      }
      case 'generation':
        this.#generation(statement.body, scope, output);
        return undefined;
      default:
        return statement.kind;
    }
  }

  #printed(value: Value): string {
    const text = str(value);
    this.#spend(text.length / charactersPerValue);
    return text;
  }

  /** What a block comes to, which must be a text. */
  #written(value: Value): string {
    if (typeof value === 'string' || value instanceof Markup) return this.#printed(value);
    throw new Error(`it writes a block that comes to a ${typeName(value)}, not to a text`);
  }

  /** As a macro of its own, whose text is written where it stands. */
  #generation(body: Body, scope: Scope, output: Output): void {
    if (output.generated === undefined)
      throw new Error(
        'it has {% generation %} within a macro, a call, a filter, a set block or another generation, where transformers does not tell its place',
      );
    const inner = new Scope(scope);
    inner.set('caller', new Undefined("'caller'"));
    const from = output.text.length;
    this.#write(output, this.#textOf(body, inner));
    output.generated.push([from, output.text.length]);
  }

  #for(
    { target, iterable, test: condition, body, otherwise }: Extract<Statement, { kind: 'for' }>,
    scope: Scope,
    output: Output,
  ): Leaving {
    const given = this.#value(iterable, scope);
    let items = itemsOf(given);
    const turn = (value: Value) => {
      this.#spend(1);
      const inner = new Scope(scope);
      this.#assign(target, value, inner);
      return inner;
    };
    if (condition !== undefined)
      items = items.filter((value) => {
        return isTrue(this.#value(condition, turn(value)));
      });
    const { loop, next } = loopOver(items);
    // As in Jinja: a turn that is left does not count.
    let isDone = false;
    for (const value of items) {
      const inner = turn(value);
      next();
      inner.set('loop', loop);
      const leaving = this.#run(body, inner, output);
      if (leaving === 'break') {
        if (given instanceof Lazy) given.spoil();
        break;
      }
      isDone ||= leaving === undefined;
    }
    return isDone || otherwise.length === 0 ? undefined : this.#run(otherwise, new Scope(scope), output);
  }

  #assign(target: Target, value: Value, scope: Scope): void {
    if (target.kind === 'name') scope.set(target.name, value);
    else if (target.kind === 'field') {
      const namespace = scope.get(target.object);
      if (!(namespace instanceof Namespace) || namespace.isLoop)
        throw new Error(`it sets a field of '${target.object}', which is no namespace`);
      checkField(target.name);
      namespace.fields.set(target.name, value);
    } else {
      const items = itemsOf(value);
      if (items.length !== target.items.length)
        throw new Error(`it takes ${items.length} values apart into ${target.items.length} names`);
      target.items.forEach((each, i) => {
        this.#assign(each, items[i]!, scope);
      });
    }
  }

  /** It sees what there is where it is defined. */
  #macro({ name, parameters, body, readsCaller }: MacroDefinition, scope: Scope): Callable {
    return new Callable(name, ({ args, named }) => {
      const caller = named.get('caller');
      if (caller !== undefined && !readsCaller) throw new Error(`it gives ${name} a body that it does not call`);
      const rest = new Map([...named].filter(([key]) => key !== 'caller'));
      const given = bind(
        { args, named: rest },
        parameters.map(([parameter]) => parameter),
      );
      const inner = new Scope(scope);
      parameters.forEach(([parameter], i) => {
        inner.set(parameter, orElse(given[i], new Undefined(`the argument '${parameter}'`)));
      });
      if (readsCaller) inner.set('caller', orElse(caller, new Undefined("'caller'")));
      parameters.forEach(([parameter, byDefault], i) => {
        if (given[i] === undefined && byDefault !== undefined) inner.set(parameter, this.#value(byDefault, inner));
      });
      return this.#textOf(body, inner);
    });
  }

  // Expressions

  #value(expression: Expression, scope: Scope): Value {
    return this.#nested(() => {
      const value = this.#compute(expression, scope);
      if (typeof value === 'string') checkLength(value.length);
      this.#spend(1 + sizeOf(value) / entriesPerWork);
      return value;
    });
  }

  #compute(expression: Expression, scope: Scope): Value {
    const value = (each: Expression) => this.#value(each, scope);
    switch (expression.kind) {
      case 'constant':
        return expression.value;
      case 'name':
        return scope.get(expression.name);
      case 'list':
        return new List(expression.items.map(value));
      case 'tuple':
        return new Tuple(expression.items.map(value));
      case 'dict':
        return new Dict(expression.pairs.map(([key, each]) => [value(key), value(each)] as const));
      case 'attribute':
        return attribute(value(expression.object), expression.name);
      case 'item':
        return item(value(expression.object), value(expression.index));
      case 'slice':
        return slice(
          value(expression.object),
          expression.bounds.map((bound) => bound && value(bound)),
        );
      case 'call':
        return this.#call(expression, scope);
      case 'filter':
        return this.#filtered(value(expression.operand), [expression.call], scope);
      case 'test': {
        const { operand, call } = expression;
        return test(call.name, value(operand), this.#given(call, scope));
      }
      case 'not':
        return !isTrue(value(expression.operand));
      case 'negative':
        return signed('-', value(expression.operand));
      case 'positive':
        return signed('+', value(expression.operand));
      case 'arithmetic':
        return arithmetic(expression.operator, value(expression.left), value(expression.right));
      case 'concat':
        return expression.parts.map(value).map(str).join('');
      case 'compare':
        return this.#compare(expression, scope);
      case 'and': {
        const left = value(expression.left);
        return isTrue(left) ? value(expression.right) : left;
      }
      case 'or': {
        const left = value(expression.left);
        return isTrue(left) ? left : value(expression.right);
      }
      case 'choice': {
        if (isTrue(value(expression.test))) return value(expression.then);
        return expression.otherwise === undefined
          ? new Undefined('what is chosen only if something holds')
          : value(expression.otherwise);
      }
    }
  }

  #compare({ first, others }: Extract<Expression, { kind: 'compare' }>, scope: Scope): boolean {
    let left = this.#value(first, scope);
    for (const [operator, expression] of others) {
      const right = this.#value(expression, scope);
      this.#spend((weightOf(left) + weightOf(right)) / entriesPerWork);
      if (!compares(operator, left, right)) return false;
      left = right;
    }
    return true;
  }

  #given({ args, named }: CallArguments, scope: Scope): Given {
    return {
      args: args.map((arg) => this.#value(arg, scope)),
      named: new Map(named.map(([name, arg]) => [name, this.#value(arg, scope)])),
    };
  }

  #filtered(value: Value, calls: readonly NamedCall[], scope: Scope): Value {
    return calls.reduce((filtered, call) => {
      this.#spend(sizeOf(filtered) / entriesPerWork);
      return filter(call.name, filtered, this.#given(call, scope));
    }, value);
  }

  #call(call: Extract<Expression, { kind: 'call' }>, scope: Scope, caller?: Callable): Value {
    const callee = this.#value(call.callee, scope);
    const given = this.#given(call, scope);
    if (!(callee instanceof Callable)) throw new Error('it calls what is no function');
    return callee.call(caller ? { ...given, named: new Map([...given.named, ['caller', caller]]) } : given);
  }
}

/** @throws Error for a name that no field of a namespace may have */
export function checkField(name: string): void {
  if (name.startsWith('_')) throw new Error(`it gives a namespace the field '${name}'`);
}

/** Entries at the top. */
function sizeOf(value: Value): number {
  if (typeof value === 'string') return value.length / charactersPerValue;
  if (value instanceof Dict) return value.size;
  return value instanceof Markup || !('items' in Object(value)) ? 1 : itemsOf(value).length;
}
