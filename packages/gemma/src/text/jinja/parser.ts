import { constants, ExpressionParser } from './expression-parser.js';
import { isFilter } from './filters.js';
import { plainLines } from './lexer.js';
import type { Body, Expression, MacroDefinition, Statement, Target } from './nodes.js';

/** The tree of a template. @throws Error for what is no Jinja, and for parts of it that are not supported, with the line */
export function parseTemplate(source: string): Body {
  return new Parser(plainLines(source)).template();
}

const unsupported = ['block', 'extends', 'include', 'import', 'from', 'autoescape'];

/** Reads the statements of a template. */
class Parser extends ExpressionParser {
  /** Whether `break` has a loop to leave. */
  #isInLoop = false;

  template(): Body {
    const body = this.#body([]);
    if (this.token.type !== 'end') this.fail(`unexpected '${this.token.value}'`);
    return body;
  }

  /** Up to the tag that one of `ends` begins; its name is what is read next. */
  #body(ends: readonly string[]): Body {
    return this.nested(() => {
      const body: Statement[] = [];
      for (;;) {
        const token = this.token;
        if (token.type === 'text') {
          this.advance();
          body.push({ kind: 'text', text: token.value });
        } else if (this.skip('open', '{{')) {
          body.push({ kind: 'print', value: this.tuple() });
          this.expect('close', '}}');
        } else if (this.skip('open', '{%')) {
          if (token.type === 'open' && this.is('name') && ends.includes(String(this.token.value))) return body;
          body.push(...this.#statement());
          this.expect('close', '%}');
        } else {
          if (ends.length > 0) this.fail(`'${ends.join("' or '")}' is missing`);
          return body;
        }
      }
    });
  }

  /** The rest of a tag, and what stands up to the one that ends it. */
  #block(...ends: readonly string[]): Body {
    this.skip('operator', ':');
    this.expect('close', '%}');
    return this.#body(ends);
  }
  #closed(end: string): Body {
    const body = this.#block(end);
    this.expect('name', end);
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
    const name = this.expect('name');
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
        const macro = this.expect('name');
        return [{ kind: 'macro', macro: this.#macro(macro, this.#parameters(), 'endmacro') }];
      }
      case 'call':
        return [this.#callBlock()];
      case 'filter': {
        const filters = [this.namedCall(isFilter), ...this.filters()];
        return [{ kind: 'filter block', filters, body: this.#apart(() => this.#closed('endfilter')) }];
      }
      case 'generation':
        return [{ kind: 'generation', body: this.#apart(() => this.#closed('endgeneration')) }];
      case 'print': {
        const values: Statement[] = [];
        while (!this.is('close')) {
          if (values.length > 0) this.expect('operator', ',');
          values.push({ kind: 'print', value: this.expression() });
        }
        return values;
      }
      case 'break':
      case 'continue':
        if (!this.#isInLoop) this.fail(`it has a ${name} outside of a loop`);
        return [{ kind: name }];
      default:
        return this.fail(`'${name}' ${unsupported.includes(name) ? 'is not supported' : 'is no tag'}`);
    }
  }

  #for(): Statement {
    const target = this.#targets({ end: 'in' });
    this.expect('name', 'in');
    const iterable = this.tuple(false, 'recursive');
    this.readsLoop = false;
    const test = this.skip('name', 'if') ? this.expression() : undefined;
    if (test !== undefined && this.readsLoop) this.fail("'loop' in the condition of a loop is not supported");
    if (this.is('name', 'recursive')) this.fail("'recursive' is not supported");
    const before = this.#isInLoop;
    this.#isInLoop = true;
    const body = this.#block('endfor', 'else');
    this.#isInLoop = before;
    const otherwise = this.expect('name') === 'else' ? this.#closed('endfor') : [];
    return { kind: 'for', target, iterable, test, body, otherwise };
  }

  #if(): Statement {
    const branches: (readonly [Expression, Body])[] = [];
    for (;;) {
      const test = this.tuple(false);
      branches.push([test, this.#block('elif', 'else', 'endif')]);
      const end = this.expect('name');
      if (end === 'elif') continue;
      return { kind: 'if', branches, otherwise: end === 'else' ? this.#closed('endif') : [] };
    }
  }

  #set(): Statement {
    const target = this.#targets({ withFields: true });
    if (this.skip('operator', '=')) return { kind: 'set', target, value: this.tuple() };
    const filters = this.filters();
    return { kind: 'set block', target, filters, body: this.#apart(() => this.#closed('endset')) };
  }

  #with(): Statement {
    const values: (readonly [Target, Expression])[] = [];
    while (!this.is('close')) {
      if (values.length > 0) this.expect('operator', ',');
      const target = this.#targets({});
      this.expect('operator', '=');
      values.push([target, this.expression()]);
    }
    return { kind: 'with', values, body: this.#closed('endwith') };
  }

  #parameters(): MacroDefinition['parameters'] {
    const parameters: (readonly [string, Expression | undefined])[] = [];
    this.expect('operator', '(');
    while (!this.is('operator', ')')) {
      if (parameters.length > 0) this.expect('operator', ',');
      const name = this.expect('name');
      if (
        Object.hasOwn(constants, name) ||
        ['caller', 'varargs', 'kwargs', 'loop'].includes(name) ||
        parameters.some(([p]) => p === name)
      )
        this.fail(`'${name}' cannot be the name of an argument`);
      const byDefault = this.skip('operator', '=') ? this.expression() : undefined;
      if (byDefault === undefined && parameters.at(-1)?.[1] !== undefined)
        this.fail(`'${name}' has no default, but follows one that has`);
      parameters.push([name, byDefault]);
    }
    this.advance();
    return parameters;
  }

  #macro(name: string, parameters: MacroDefinition['parameters'], end: string): MacroDefinition {
    const before = this.readsCaller;
    this.readsCaller = false;
    const body = this.#apart(() => this.#closed(end));
    const macro = { name, parameters, body, readsCaller: this.readsCaller };
    this.readsCaller ||= before;
    return macro;
  }

  #callBlock(): Statement {
    const parameters = this.is('operator', '(') ? this.#parameters() : [];
    const call = this.expression();
    if (call.kind !== 'call') return this.fail('it calls no macro');
    return { kind: 'call block', call, caller: this.#macro('caller', parameters, 'endcall') };
  }

  /** Up to `end`, or the end of the tag. Fields of namespaces may be set, and nothing else. */
  #targets({ end, withFields = false }: { readonly end?: string; readonly withFields?: boolean }): Target {
    const items: Target[] = [];
    let isTuple = false;
    while (!this.is('close') && !this.is('operator', ')') && !(end !== undefined && this.is('name', end))) {
      items.push(this.#target(withFields));
      if (!this.skip('operator', ',')) break;
      isTuple = true;
    }
    if (items.length === 0) this.fail('it assigns to nothing');
    return isTuple ? { kind: 'tuple', items } : items[0]!;
  }

  #target(withFields: boolean): Target {
    if (this.skip('operator', '(')) {
      const target = this.nested(() => this.#targets({}));
      this.expect('operator', ')');
      return target;
    }
    const name = this.expect('name');
    if (withFields && this.skip('operator', '.')) return { kind: 'field', object: name, name: this.expect('name') };
    if (Object.hasOwn(constants, name) || name === 'loop') this.fail(`it assigns to '${name}'`);
    return { kind: 'name', name };
  }
}
