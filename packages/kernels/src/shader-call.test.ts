import { expect, it } from 'vitest';
import { f32Bits, type Binding } from './kernel-call.js';
import { shaderCall } from './shader-call.js';

const binding = (buffer: string): Binding<string> => ({ buffer, offset: 0, size: 16, access: 'read' });
const [x, weights, out, dy, residual] = ['x', 'weights', 'out', 'dy', 'residual'].map(binding) as [
  Binding<string>,
  Binding<string>,
  Binding<string>,
  Binding<string>,
  Binding<string>,
];
const rest = { workgroups: [1, 1, 1], variant: 'plain' } as const;
const uniforms = { rows: 3, dim: 8, eps: 1e-6, offset: 1 };
const buffers = (call: { bindings: readonly Binding<string>[] }) => call.bindings.map(({ buffer }) => buffer);

it('words and bindings are in the order of the program, whatever theirs is', () => {
  const call = shaderCall('norm/rms_norm', {
    ...rest,
    conditions: { VEC: true, BACKWARD: true },
    uniforms: { offset: 1, eps: 1e-6, dim: 8, rows: 3 },
    bindings: { residual, dy, out, weights, x },
  });
  expect([...call.uniforms]).toEqual([3, 8, 0x358637bd, 0x3f800000]);
  expect(buffers(call)).toEqual(['x', 'weights', 'out', 'dy', 'residual']);
  expect(call).toMatchObject({ ...rest, shader: 'norm/rms_norm', conditions: { VEC: true, BACKWARD: true } });
  const forward = shaderCall('norm/rms_norm', { ...rest, uniforms, bindings: { x, weights, out, dy: undefined } });
  expect(buffers(forward)).toEqual(['x', 'weights', 'out']);
});

it('structs are filled up, padding is 0, and negative words are as i32 has them', () => {
  const { uniforms: eight } = shaderCall('attention/combine', {
    ...rest,
    uniforms: { rows: 1, queries: 2, heads: 3, d4: 4, splits: 5 },
    bindings: { part_out: x, part_lse: x, out, lse: out },
  });
  expect([...eight]).toEqual([1, 2, 3, 4, 5, 0, 0, 0]);
  const bound = { ids: x, weights, out };
  const gather = { rows: 1, dim: 2, first: 3, count: 4, vocab: 5, scale: 0.5 };
  expect([...shaderCall('embedding/gather', { ...rest, uniforms: gather, bindings: bound }).uniforms]).toEqual([
    ...[1, 2, 3, 4],
    ...[5, f32Bits(0.5), 0, 0],
  ]);
});

it.each([Number.NaN, Number.POSITIVE_INFINITY, 2.7, 2 ** 32, -(2 ** 31) - 1])('a whole number cannot be %d', (rows) => {
  const call = () =>
    shaderCall('norm/rms_norm', { ...rest, uniforms: { ...uniforms, rows }, bindings: { x, weights, out } });
  expect(call).toThrow(RangeError);
  expect(call).toThrow(`norm/rms_norm: rows is ${rows}, no whole number of 32 bits`);
});

it('whole numbers may be as large as words, and floats whatever they are', () => {
  for (const [dim, word] of [
    [2 ** 32 - 1, 0xffffffff],
    [-(2 ** 31), 0x80000000],
    [-1, 0xffffffff],
  ] as const) {
    const of = { ...uniforms, dim, eps: Number.NaN };
    const call = shaderCall('norm/rms_norm', { ...rest, uniforms: of, bindings: { x, weights, out } });
    expect([...call.uniforms].slice(0, 3)).toEqual([3, word, f32Bits(Number.NaN)]);
  }
});

it('arrays are filled up with 0', () => {
  const call = shaderCall('copy/strided_copy', {
    ...rest,
    uniforms: {
      ...{ count: 6, in_offset: 1, out_offset: 2, rank: 2 },
      ...{ dims: [2, 3], in_strides: [3, -1], out_strides: [1] },
    },
    bindings: { x, out },
  });
  expect([...call.uniforms]).toEqual([
    ...[6, 1, 2, 2],
    ...[2, 3, 0, 0, 0, 0, 0, 0],
    ...[3, 0xffffffff, 0, 0, 0, 0, 0, 0],
    ...[1, 0, 0, 0, 0, 0, 0, 0],
  ]);
});

it('fields and structs that stand under a condition are taken by what is given', () => {
  const shape = {
    ...{ m: 1, n: 2, k: 3, tiles_across: 4, lda: 5, ldb: 6, ldc: 7, tiles: 8 },
    ...{ a_start: 9, b_start: 10, c_start: 11, bias_start: 12, a_batch: 13, b_batch: 14, c_batch: 15, alpha: 1 },
  };
  const product = (more: { eps?: number; gain_offset?: number }) =>
    shaderCall('matmul/matmul', { ...rest, uniforms: { ...shape, ...more }, bindings: { a: x, weights, c: out } });
  const sixteen = [...Array.from({ length: 15 }, (_, i) => i + 1), f32Bits(1)];
  expect([...product({}).uniforms]).toEqual(sixteen);
  expect([...product({ eps: 2, gain_offset: 3 }).uniforms]).toEqual([...sixteen, f32Bits(2), f32Bits(3), 0, 0]);
  // C is bound where products have it: what a program has nothing for is the binding before it.
  const sum = shaderCall('matmul/combine', { ...rest, uniforms: shape, bindings: { parts: x, c: out } });
  expect(buffers(sum)).toEqual(['x', 'x', 'out']);
  const moments = shaderCall('optimizer/adafactor_moments', {
    ...rest,
    uniforms: { matrix_rows: 1, columns: 2, parts: 3, batch: 4, column_groups: 5 },
    bindings: { row_moment: x, col_moment: out, part: dy, hyper: weights, norm2: weights, mean: residual },
  });
  expect([...moments.uniforms]).toEqual([1, 2, 3, 4, 5, 0, 0, 0]);
  expect(buffers(moments)).toEqual(['x', 'out', 'dy', 'weights', 'weights', 'residual']);
});

it('slips are refused by the compiler, and where it is not asked', () => {
  const bindings = { x, weights, out };
  const conditions = { BACKWARDS: true };
  // @ts-expect-error a condition that no module mentions
  shaderCall('norm/rms_norm', { ...rest, conditions: { BACKWARDS: true }, uniforms, bindings });
  // @ts-expect-error the same beside one that is known
  shaderCall('norm/rms_norm', { ...rest, conditions: { VEC: true, BACKWARDS: true }, uniforms, bindings });
  // @ts-expect-error the same, spread
  shaderCall('norm/rms_norm', { ...rest, conditions: { VEC: true, ...conditions }, uniforms, bindings });
  // @ts-expect-error no number
  shaderCall('norm/rms_norm', { ...rest, conditions: { VEC: 1 }, uniforms, bindings });
  // @ts-expect-error no such program
  expect(() => shaderCall('norm/rms', { ...rest, uniforms, bindings })).toThrow();
  // @ts-expect-error a constant that the program does not import
  shaderCall('norm/rms_norm', { ...rest, constants: { CHUNKS: 1 }, uniforms, bindings });
  const { eps: _, ...short } = uniforms;
  // @ts-expect-error a field is missing
  expect(() => shaderCall('norm/rms_norm', { ...rest, uniforms: short, bindings })).toThrow(/has not the fields/);
  const long = { ...rest, bindings };
  // @ts-expect-error a field too many
  expect(() => shaderCall('norm/rms_norm', { ...long, uniforms: { ...uniforms, weight: 1 } })).toThrow(/weight/);
  // @ts-expect-error a field of another type
  shaderCall('norm/rms_norm', { ...long, uniforms: { rows: 3, dim: 8, eps: 1e-6, offset: '1' } });
  const wrong = { ...rest, uniforms };
  // @ts-expect-error a binding of another program
  expect(() => shaderCall('norm/rms_norm', { ...wrong, bindings: { x, weights, out, d_out: dy } })).toThrow(/d_out/);
  // @ts-expect-error a binding is missing that always exists
  shaderCall('norm/rms_norm', { ...wrong, bindings: { weights, out } });
  // @ts-expect-error bindings by position
  expect(() => shaderCall('norm/rms_norm', { ...wrong, bindings: [x, weights, out] })).toThrow(/called 0/);
});
