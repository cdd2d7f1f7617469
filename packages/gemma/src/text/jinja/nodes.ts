import type { Value } from './values.js';

// The tree of a template, as Jinja's grammar has it.

export interface CallArguments {
  readonly args: readonly Expression[];
  readonly named: readonly (readonly [name: string, value: Expression])[];
}
/** A filter or test by its name. */
export interface NamedCall extends CallArguments {
  readonly name: string;
}

export type ArithmeticOperator = '+' | '-' | '*' | '/' | '//' | '%' | '**';
export type Comparison = '==' | '!=' | '<' | '<=' | '>' | '>=' | 'in' | 'not in';

export type Expression =
  | { readonly kind: 'constant'; readonly value: Value }
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'list' | 'tuple'; readonly items: readonly Expression[] }
  | { readonly kind: 'dict'; readonly pairs: readonly (readonly [Expression, Expression])[] }
  | { readonly kind: 'attribute'; readonly object: Expression; readonly name: string }
  | { readonly kind: 'item'; readonly object: Expression; readonly index: Expression }
  | { readonly kind: 'slice'; readonly object: Expression; readonly bounds: readonly (Expression | undefined)[] }
  | ({ readonly kind: 'call'; readonly callee: Expression } & CallArguments)
  | { readonly kind: 'filter' | 'test'; readonly operand: Expression; readonly call: NamedCall }
  | { readonly kind: 'not' | 'negative' | 'positive'; readonly operand: Expression }
  | {
      readonly kind: 'arithmetic';
      readonly operator: ArithmeticOperator;
      readonly left: Expression;
      readonly right: Expression;
    }
  | { readonly kind: 'concat'; readonly parts: readonly Expression[] }
  | {
      readonly kind: 'compare';
      readonly first: Expression;
      readonly others: readonly (readonly [Comparison, Expression])[];
    }
  | { readonly kind: 'and' | 'or'; readonly left: Expression; readonly right: Expression }
  | {
      readonly kind: 'choice';
      readonly test: Expression;
      readonly then: Expression;
      readonly otherwise: Expression | undefined;
    };

/** What is assigned to: a name, several, or a field of a namespace. */
export type Target =
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'tuple'; readonly items: readonly Target[] }
  | { readonly kind: 'field'; readonly object: string; readonly name: string };

export type Body = readonly Statement[];

/** What is called with arguments of its own: a macro, or the body of a call block, which its macro calls as `caller`. */
export interface MacroDefinition {
  readonly name: string;
  readonly parameters: readonly (readonly [name: string, byDefault: Expression | undefined])[];
  readonly body: Body;
  readonly readsCaller: boolean;
}

export type Statement =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'print'; readonly value: Expression }
  | {
      readonly kind: 'if';
      readonly branches: readonly (readonly [test: Expression, body: Body])[];
      readonly otherwise: Body;
    }
  | {
      readonly kind: 'for';
      readonly target: Target;
      readonly iterable: Expression;
      readonly test: Expression | undefined;
      readonly body: Body;
      readonly otherwise: Body;
    }
  | { readonly kind: 'set'; readonly target: Target; readonly value: Expression }
  | {
      readonly kind: 'set block';
      readonly target: Target;
      readonly filters: readonly NamedCall[];
      readonly body: Body;
    }
  | { readonly kind: 'filter block'; readonly filters: readonly NamedCall[]; readonly body: Body }
  | {
      readonly kind: 'with';
      readonly values: readonly (readonly [target: Target, value: Expression])[];
      readonly body: Body;
    }
  | { readonly kind: 'macro'; readonly macro: MacroDefinition }
  | {
      readonly kind: 'call block';
      readonly call: Extract<Expression, { kind: 'call' }>;
      readonly caller: MacroDefinition;
    }
  | { readonly kind: 'generation'; readonly body: Body }
  | { readonly kind: 'break' | 'continue' };
