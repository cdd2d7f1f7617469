import { shaderSources } from '@lapidary/shaders';
import { expect, it } from 'vitest';
import { conditionsOf } from '../packages/gpu/src/shader-conditions.js';
import { compact } from '../shaders/compact.mjs';
import { interfaceTypes, layoutCode, layoutTable, shaderInterfaces } from '../shaders/interfaces.mjs';

const shared = `
import package::common::deep::helper;
struct Shape { rows: u32, @if(SCALED) scale: f32, @if(SCALED && TURNED) turn: i32 }
@group(0) @binding(0) var<uniform> s: Shape;
@if(WIDE) @group(0) @binding(2) var<storage, read> weights: array<vec4f>;
@if(!WIDE) @group(0) @binding(2) var<storage, read> weights: array<f32>;
@group(0) @binding(9) var<storage, read> unused: array<f32>; // nothing that the root imports leads here
fn weight(i: u32) -> f32 { return helper(weights[i]); }
`;
const deep = `fn helper(x: f32) -> f32 { @if(DEEP || (LOW && !HIGH)) { return x; } return 2.0 * x; }
`;
const root = `// @if(COMMENT) is no condition
import package::common::shared::{s, weight};
import constants::{TILE, DEPTH};
@if(!LATE) @group(0) @binding(3) var<storage, read_write> out: array<f32>;
@if(LATE) @group(0) @binding(4) var<storage, read_write> out: array<f32>;
@if(LATE) @group(0) @binding(3) var<storage, read> extra: array<f32>;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@compute @workgroup_size(64)
fn main() { @if(LATE) { out[0] = x[0] + extra[0]; } out[0] = weight(s.rows) + f32(TILE); }
`;
const sources = { 'made/up.wesl': root, 'common/shared.wesl': shared, 'common/deep.wesl': deep };

it('collects what a root and all that it imports expect', () => {
  const found = shaderInterfaces(sources);
  expect(Object.keys(found)).toEqual(['made/up']);
  const { conditions, constants, structs, bindings } = found['made/up']!;
  expect(conditions).toEqual(['DEEP', 'HIGH', 'LATE', 'LOW', 'SCALED', 'TURNED', 'WIDE']);
  expect(constants).toEqual(['DEPTH', 'TILE']);
  expect(structs).toEqual([
    [
      { name: 'rows', type: 'u', size: 1, optional: false },
      { name: 'scale', type: 'f', size: 1, optional: true },
      { name: 'turn', type: 'i', size: 1, optional: true },
    ],
  ]);
  expect(bindings).toEqual([
    { name: 'x', access: ['read'], optional: false },
    { name: 'weights', access: ['read'], optional: true },
    { name: 'extra', access: ['read'], optional: true },
    { name: 'out', access: ['read_write'], optional: false },
  ]);
  expect(layoutTable(found)).toEqual({ 'made/up': 'rows,scale f?,turn i?|x,weights,extra,out' });
  const types = interfaceTypes(found);
  expect(types).toContain("conditions: 'DEEP' | 'HIGH' | 'LATE' | 'LOW' | 'SCALED' | 'TURNED' | 'WIDE';");
  expect(types).toContain('uniforms: { readonly rows: U32; readonly scale?: F32; readonly turn?: I32; };');
  expect(types).toContain("bindings: 'x' | 'out';");
  expect(types).toContain("optionalBindings: 'weights' | 'extra';");
});

const withUniform = (fields: string, rest = '') =>
  `struct Shape { ${fields} }\n@group(0) @binding(0) var<uniform> s: Shape;\n${rest}\n@compute @workgroup_size(1) fn main() {}\n`;
const layoutOf = (text: string) => layoutTable(shaderInterfaces({ 'a/b.wesl': text }))['a/b'];

it('arrays, padding, structs to choose from, and numbers that nothing has', () => {
  expect(layoutOf(withUniform('n: u32, pad0: u32, pad1: u32, pad2: u32, table: array<vec4f, 2>'))).toBe(
    'n,,,,table 8f|',
  );
  const two = withUniform('a: f32').replace('struct', '@if(!B) struct') + '@if(B) struct Shape { b: u32 }\n';
  expect(layoutOf(two)).toBe('a f;b|');
  const bindings = [1, 3].map((n) => `@group(0) @binding(${n}) var<storage, read> b${n}: array<f32>;`);
  expect(layoutOf(withUniform('n: u32', bindings.join('\n')))).toBe('n|b1,,b3');
});

it('what several programs share stands once in the code', () => {
  const long = withUniform('first: u32, second: f32');
  const code = layoutCode(shaderInterfaces({ 'a/b.wesl': long, 'a/c.wesl': long }));
  expect(code.match(/first,second f/g)).toHaveLength(1);
  const read = new Function(`${code.replace('export const shaderLayouts =', 'return')}`) as () => unknown;
  expect(read()).toEqual({ 'a/b': 'first,second f|', 'a/c': 'first,second f|' });
});

it.each([
  ['a field of another type', withUniform('n: u32,\n m: mat4x4f'), /a\/b.wesl:1: cannot read the field 'm: mat4x4f'/],
  ['an array out of line', withUniform('n: u32, t: array<vec4u, 2>'), /cannot read the field 't/],
  [
    'a condition of more than names',
    withUniform('n: u32', '@if(A == B) const c = 1u;'),
    /:3: cannot read the condition/,
  ],
  ['another group', withUniform('n: u32', '@group(1) @binding(1) var<storage> x: array<u32>;'), /:3: only group 0/],
  ['a missing module', withUniform('n: u32', 'import package::no::where;'), /:3: no module package::no/],
  ['another kind of path', withUniform('n: u32', 'import super::x::y;'), /:3: no module super::x/],
  ['nested lists', withUniform('n: u32', 'import package::a::{b::c, d};'), /:3: cannot read/],
  ['an unknown attribute', withUniform('n: u32', '@id(3) override x: u32;'), /:3: cannot read '@id/],
  ['@else', withUniform('n: u32', '@if(A) const c = 1u;\n@else const c = 2u;'), /:4: cannot read '@else/],
  ['no uniform struct', '@compute @workgroup_size(1) fn main() {}', /a\/b.wesl: 0 uniform structs/],
  ['a brace too few', withUniform('n: u32', 'fn f() {'), /:3: what begins here has no end/],
  [
    'bindings that change places',
    withUniform(
      'n: u32',
      [
        ['A', 1, 'x'],
        ['A', 2, 'y'],
        ['!A', 3, 'x'],
        ['!A', 2, 'y'],
      ]
        .map(([c, n, name]) => `@if(${c}) @group(0) @binding(${n}) var<storage, read> ${name}: array<u32>;`)
        .join('\n'),
    ),
    /'y' and 'x' have no order/,
  ],
])('throws at what it does not understand: %s', (_, text, message) => {
  expect(() => layoutOf(text)).toThrow(message);
});

it('the linker knows the same conditions of every program as the types do', () => {
  const interfaces = Object.entries(shaderInterfaces(shaderSources));
  expect(interfaces.length).toBeGreaterThan(40);
  for (const [shader, { conditions }] of interfaces)
    expect(conditionsOf(`${shader}.wesl`, shaderSources), shader).toEqual(conditions);
});

it('compacts a text without joining what are two tokens, line by line', () => {
  const text =
    'let a = b - -c; // why\n\n  @if(X && !Y) @group(0) @binding(1) var<storage, read> x : array<u32>;\n  return x[1.5 / *p] ;\n';
  expect(compact(text)).toBe(
    'let a=b- -c;\n\n@if(X&& !Y)@group(0)@binding(1)var<storage,read>x:array<u32>;\nreturn x[1.5/ *p];\n',
  );
});
