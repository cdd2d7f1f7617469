import { lineOf, type Token, tokensOf } from './lexer.js';

/** Expressions and blocks within each other. */
export const deepest = 400;

/** Reads the pieces of a template one after the other. */
export abstract class TokenReader {
  readonly #tokens: readonly Token[];
  #next = 0;
  #depth = 0;

  /** @throws Error for what is no template */
  constructor(readonly source: string) {
    this.#tokens = tokensOf(source);
  }

  protected get token(): Token {
    return this.#tokens[this.#next]!;
  }
  protected advance(count = 1): void {
    this.#next += count;
  }
  protected fail(problem: string): never {
    throw new Error(`line ${lineOf(this.source, this.token.at)}: ${problem}`);
  }
  protected is(type: Token['type'], value?: string, ahead = 0): boolean {
    const token = this.#tokens[this.#next + ahead];
    return token?.type === type && (value === undefined || token.value === value);
  }
  protected skip(type: Token['type'], value?: string): boolean {
    const is = this.is(type, value);
    if (is) this.#next++;
    return is;
  }
  protected expect(type: Token['type'], value?: string): string {
    const { token } = this;
    if (!this.is(type, value)) {
      const found = token.type === 'end' ? 'the end' : `'${token.value}'`;
      this.fail(`expected ${value === undefined ? `a ${type}` : `'${value}'`}, found ${found}`);
    }
    this.#next++;
    return String(token.value);
  }
  protected nested<T>(read: () => T): T {
    if (++this.#depth > deepest) this.fail(`it nests deeper than ${deepest} levels`);
    const value = read();
    this.#depth--;
    return value;
  }
}
