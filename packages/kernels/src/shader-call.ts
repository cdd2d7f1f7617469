import { shaderLayouts, type ShaderInterfaces } from '@lapidary/shaders';
import { f32Bits, type Binding, type KernelCall } from './kernel-call.js';

/** Path of a program of `@lapidary/shaders`. */
export type ShaderName = keyof ShaderInterfaces;
/** Conditions that a program, or a module it imports, knows. */
export type ShaderConditions<S extends ShaderName> = {
  readonly [C in ShaderInterfaces[S]['conditions']]?: boolean;
};
/** Constants that a program imports. */
export type ShaderConstants<S extends ShaderName> = [ShaderInterfaces[S]['constants']] extends [never]
  ? Readonly<Record<string, never>>
  : { readonly [N in ShaderInterfaces[S]['constants']]: number };
/** The fields of a program's uniform struct. */
export type ShaderUniforms<S extends ShaderName> = ShaderInterfaces[S]['uniforms'];
/** A program's storage bindings by name; those that exist under some conditions only may be left out. */
export type ShaderBindings<S extends ShaderName, B = unknown> = {
  readonly [N in ShaderInterfaces[S]['bindings']]: Binding<B>;
} & { readonly [N in ShaderInterfaces[S]['optionalBindings']]?: Binding<B> | undefined };

type NoOthers<Given, Names> = Given & { readonly [N in Exclude<keyof Given, Names>]: never };
type BufferOf<Bindings> = Bindings[keyof Bindings] extends Binding<infer B> | undefined ? B : never;

/** A `KernelCall` of a program, with names in place of positions; `C` and `D` are its conditions and bindings. */
export interface ShaderCall<S extends ShaderName, C, D>
  extends Omit<KernelCall<unknown>, 'shader' | 'source' | 'conditions' | 'constants' | 'uniforms' | 'bindings'> {
  /** Also what is spread into them must be known. */
  readonly conditions?: NoOthers<C, ShaderInterfaces[S]['conditions']>;
  readonly constants?: ShaderConstants<S>;
  readonly uniforms: ShaderUniforms<S>;
  readonly bindings: NoOthers<D, ShaderInterfaces[S]['bindings' | 'optionalBindings']>;
}

/** The call of a program: its uniform words and bindings put in the order in which the program has them. */
export function shaderCall<
  S extends ShaderName,
  D extends ShaderBindings<S>,
  C extends ShaderConditions<S> = ShaderConditions<S>,
>(shader: S, { uniforms, bindings, ...call }: ShaderCall<S, C, D>): KernelCall<BufferOf<D>> {
  return {
    ...call,
    shader,
    uniforms: uniformWords(shader, uniforms),
    bindings: inOrder<BufferOf<D>>(shader, bindings),
  };
}

interface Field {
  /** Empty: padding. */
  readonly name: string;
  readonly isFloat: boolean;
  readonly size: number;
  readonly isOptional: boolean;
}
interface Layout {
  /** Of several the first that fits. */
  readonly structs: readonly (readonly Field[])[];
  readonly bindings: readonly string[];
}

const layouts = new Map<string, Layout>();

/** Reads what `layoutTable` of shaders/interfaces.mjs writes. */
function layoutOf(shader: ShaderName): Layout {
  let layout = layouts.get(shader);
  if (layout === undefined) {
    const [structs, bindings] = shaderLayouts[shader].split('|') as [string, string];
    layout = {
      structs: structs.split(';').map((fields) => fields.split(',').map(fieldOf)),
      bindings: bindings.split(','),
    };
    layouts.set(shader, layout);
  }
  return layout;
}

function fieldOf(text: string): Field {
  const [name = '', type = 'u'] = text.split(' ');
  return { name, isFloat: type.includes('f'), size: parseInt(type, 10) || 1, isOptional: type.endsWith('?') };
}

/** The bits of a 32-bit whole number, i32 where it is negative. */
function wholeBits(value: number, shader: ShaderName, name: string): number {
  if (!Number.isInteger(value) || value < -(2 ** 31) || value >= 2 ** 32)
    throw new RangeError(`${shader}: ${name} is ${value}, no whole number of 32 bits`);
  return value >>> 0;
}

/** The words of a program's uniform struct, filled up to 16 bytes. @throws TypeError, RangeError for fields that are not the struct's */
export function uniformWords<S extends ShaderName>(shader: S, uniforms: ShaderUniforms<S>): Uint32Array {
  const values = uniforms as Readonly<Record<string, number | readonly number[] | undefined>>;
  const given = Object.keys(values).filter((name) => values[name] !== undefined);
  const { structs } = layoutOf(shader);
  const struct = structs.find(
    (fields) =>
      fields.every(({ name, isOptional }) => name === '' || isOptional || given.includes(name)) &&
      given.every((name) => fields.some((field) => field.name === name)),
  );
  if (struct === undefined) throw new TypeError(`${shader}: the uniform struct has not the fields ${given.join(', ')}`);
  const words: number[] = [];
  for (const { name, isFloat, size } of struct) {
    const value = name === '' ? 0 : values[name];
    if (value === undefined) continue;
    const list = typeof value === 'number' ? [value] : value;
    if (list.length > size) throw new RangeError(`${shader}: ${name} holds ${size} values, not ${list.length}`);
    for (let i = 0; i < size; i++) words.push(isFloat ? f32Bits(list[i] ?? 0) : wholeBits(list[i] ?? 0, shader, name));
  }
  while (words.length % 4 !== 0) words.push(0);
  return Uint32Array.from(words);
}

function inOrder<B>(shader: ShaderName, bindings: Readonly<Record<string, Binding<B> | undefined>>): Binding<B>[] {
  const names = layoutOf(shader).bindings;
  const stranger = Object.keys(bindings).find((name) => bindings[name] !== undefined && !names.includes(name));
  if (stranger !== undefined) throw new TypeError(`${shader}: no binding is called ${stranger}`);
  return names.flatMap((name, i) => bindings[name || names[i - 1]!] ?? []);
}
