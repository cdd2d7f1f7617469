import { Undefined, type Value } from './values.js';

/** Names that Jinja or transformers gives a meaning, and that are not supported here. */
const reserved =
  /^(self|super|lipsum|cycler|joiner|varargs|kwargs|additional_special_tokens|extra_special_tokens|.*_token)$/;

/** The names that a part of a template sees: its own, and those around it. */
export class Scope {
  readonly #own = new Map<string, Value>();
  constructor(readonly around?: Scope) {}

  set(name: string, value: Value): void {
    this.#own.set(name, value);
  }
  /** @throws Error for what is known to transformers, and not here */
  get(name: string): Value {
    for (let scope: Scope | undefined = this; scope !== undefined; scope = scope.around) {
      const value = scope.#own.get(name);
      if (value !== undefined) return value;
    }
    if (reserved.test(name))
      throw new Error(
        `it reads '${name}', which is not supported${name.endsWith('_token') ? '; of special tokens only bos_token and eos_token are' : ''}`,
      );
    return new Undefined(`'${name}'`);
  }
}
