// What operations refuse: kernels read bytes, and would take a bf16 or an i32 for other numbers without a word.
import { describe, expect, it } from 'vitest';
import * as T from '../index.js';

const leaf = (dtype: T.TensorType['dtype'], ...shape: number[]) => T.input('leaf', { dtype, shape });
const f32 = (...shape: number[]) => leaf('f32', ...shape);
const i32 = (...shape: number[]) => leaf('i32', ...shape);
const x = f32(2, 4);
/** Heads and records of 3 tokens of one row. */
const heads = f32(1, 3, 2, 4);
const records = i32(1, 3, 4);
const rule = { scale: 1 };

describe.each(['bf16', 'f16', 'i32', 'u32', 'q8_0'] as const)('an operand of %s', (dtype) => {
  const other = (...shape: number[]) => leaf(dtype, ...shape);
  const row = other(2, 32);
  const otherHeads = other(1, 3, 2, 32);
  const wide = f32(1, 3, 2, 32);
  const cases: Record<string, () => unknown> = {
    sum: () => T.sum(row),
    'sum of one axis': () => T.sum(row, 1),
    'sum over nothing': () => T.sum(other(1, 32), 0),
    mean: () => T.mean(row),
    max: () => T.max(row),
    min: () => T.min(row, 0),
    softmax: () => T.softmax(row),
    sumOfSquares: () => T.sumOfSquares([f32(3), row]),
    rmsNorm: () => T.rmsNorm(row, f32(32), { eps: 1e-6 }),
    layerNorm: () => T.layerNorm(row, f32(32), f32(32), { eps: 1e-6 }),
    'geglu gate': () => T.geglu(row, f32(2, 32)),
    'geglu up': () => T.geglu(f32(2, 32), row),
    'attention q': () => T.attention(otherHeads, wide, wide, records, records, rule),
    'attention k': () => T.attention(wide, otherHeads, wide, records, records, rule),
    'attention v': () => T.attention(wide, wide, otherHeads, records, records, rule),
    rope: () => T.rope(otherHeads, records, { theta: 1e4 }),
    'linearCrossEntropy hidden': () => T.linearCrossEntropy(row, f32(5, 32), i32(2)),
    'scatterRows target': () => T.scatterRows(row, i32(1), f32(1, 32)),
    'scatterRows rows': () => T.scatterRows(f32(2, 32), i32(1), other(1, 32)),
    'matmul a': () => T.matmul(row, f32(32, 3)),
    'matmul residual': () => T.matmul(f32(2, 3), f32(3, 32), { residual: row }),
  };
  it.each(Object.entries(cases))('is refused by %s', (name, run) => {
    expect(run).toThrow(T.TensorShapeError);
    expect(run).toThrow(new RegExp(`^${name.split(' ')[0]}: ${dtype}\\[.*\\] must be cast to f32 first`));
  });
});

it('weights and tables may be of any storage type', () => {
  expect(T.rmsNorm(x, leaf('bf16', 4), { eps: 1e-6 }).dtype).toBe('f32');
  expect(T.layerNorm(x, leaf('bf16', 4), leaf('f16', 4), { eps: 1e-6 }).dtype).toBe('f32');
  expect(T.matmul(f32(2, 32), leaf('q8_0', 5, 32), { transposeB: true }).shape).toEqual([2, 5]);
  expect(T.embedding(leaf('q8_0', 5, 32), i32(3)).shape).toEqual([3, 32]);
  expect(T.linearCrossEntropy(f32(2, 32), leaf('bf16', 5, 32), i32(2)).losses.shape).toEqual([2]);
});

it('a norm without a weight has nothing to add to', () => {
  expect(T.rmsNorm(x, null, { eps: 1e-6 }).shape).toEqual(x.shape);
  expect(() => T.rmsNorm(x, null, { eps: 1e-6, weightOffset: 1 })).toThrow(/^rmsNorm: without a weight/);
});

it('rows of blocks stay whole blocks under another shape', () => {
  expect(T.reshape(leaf('q8_0', 2, 96), [6, 32]).shape).toEqual([6, 32]);
  expect(T.reshape(leaf('q4_k', 2, 512), [-1]).shape).toEqual([1024]);
  for (const [tensor, shape] of [
    [leaf('q8_0', 2, 96), [12, 16]],
    [leaf('q8_0', 2, 96), [4, 48]],
    [leaf('q4_k', 2, 512), [8, 128]],
    [leaf('q8_0', 32), []],
  ] as const) {
    expect(() => T.reshape(tensor, shape)).toThrow(T.TensorShapeError);
    if (shape.length > 0) expect(() => T.reshape(tensor, shape)).toThrow(/rows would be no whole blocks of (32|256)$/);
  }
});

it('attention and rope take i32 records, one for each token', () => {
  expect(T.attention(heads, heads, heads, records, records, rule).shape).toEqual(heads.shape);
  // In any shape: what counts is how many.
  expect(T.attention(heads, heads, heads, i32(12), records, rule).shape).toEqual(heads.shape);
  const long = f32(1, 5, 2, 4);
  expect(T.attention(heads, long, long, records, i32(1, 5, 4), rule).shape).toEqual(heads.shape);
  const wrong: [string, () => unknown][] = [
    ['f32 queries', () => T.attention(heads, heads, heads, f32(1, 3, 4), records, rule)],
    ['f32 keys', () => T.attention(heads, heads, heads, records, f32(1, 3, 4), rule)],
    ['u32 keys', () => T.attention(heads, heads, heads, records, leaf('u32', 1, 3, 4), rule)],
    ['too few queries', () => T.attention(heads, heads, heads, i32(1, 2, 4), records, rule)],
    ['too few keys', () => T.attention(heads, long, long, records, records, rule)],
    ['too many keys', () => T.attention(heads, heads, heads, records, i32(1, 5, 4), rule)],
    ['padded heads', () => T.attention(f32(1, 3, 2, 3), f32(1, 3, 2, 3), f32(1, 3, 2, 3), records, i32(8), rule)],
  ];
  for (const [what, run] of wrong) expect(run, what).toThrow(/^attention: .* where there are i32 \[\d, 4\] records/);
  for (const info of [f32(1, 3, 4), leaf('u32', 1, 3, 4), i32(1, 3, 3)])
    expect(() => T.rope(heads, info, { theta: 1e4 })).toThrow(/^rope: .* where there are i32 \[3, 4\] records/);
  for (const rotatedPairs of [-1, 0.5, 3])
    expect(() => T.rope(heads, records, { theta: 1e4, rotatedPairs })).toThrow(/^rope: of the pairs of .* cannot turn/);
  expect(() => T.attention(heads, f32(1, 3, 2, 4, 1), heads, records, records, rule)).toThrow(T.TensorShapeError);
});

it('attention has a gradient where queries and keys are the same tokens', () => {
  const grads = (info: T.Tensor) =>
    T.gradients(T.sum(T.attention(heads, heads, heads, records, info, rule)), [heads]).map((grad) => grad?.shape);
  expect(grads(records)).toEqual([heads.shape]);
  expect(grads(T.reshape(records, [3, 4]))).toEqual([heads.shape]);
  expect(() => grads(i32(1, 3, 4))).toThrow(/^attention: only self-attention \(queries and keys of one `info`\)/);
});

it('a bias has a value for each of its row', () => {
  const weight = f32(3, 4);
  expect(T.linear(x, { weight, bias: leaf('bf16', 3) }).shape).toEqual([2, 3]);
  for (const bias of [f32(4), f32(1), f32(2, 3), f32()])
    expect(() => T.linear(x, { weight, bias })).toThrow(/^linear: bias f32\[.*\] for a result f32\[2, 3\]/);
});

describe('an optimiser’s update', () => {
  const [param, grad, m, v] = [f32(2, 3), f32(2, 3), f32(2, 3), f32(2, 3)];
  const moments = { row: f32(2, 1), col: f32(1, 3) };
  const gradNormSquared = f32();
  const common = { param, grad, gradNormSquared };
  const right = {
    adamw: { ...common, m, v, hyper: f32(10) },
    lion: { ...common, m, hyper: f32(5) },
    sgd: { ...common, m, hyper: f32(4) },
    adafactor: { ...common, moments, hyper: f32(8) },
  };
  type Name = keyof typeof right;
  const updates = { adamw: T.adamw, lion: T.lion, sgd: T.sgd, adafactor: T.adafactor } as Readonly<
    Record<Name, (args: object) => unknown>
  >;
  const names = Object.keys(right) as Name[];

  it.each(names)('%s takes what fits', (name) => {
    updates[name](right[name]);
    updates[name]({ ...right[name], gradNormSquared: f32(1) });
    const { m: _, ...without } = right.sgd;
    expect(T.sgd(without)).toHaveLength(1);
    expect(Object.keys(T.adafactor({ ...right.adafactor, param: m, grad: v }).moments)).toEqual(['row', 'col']);
    const vector = { ...right.adafactor, param: f32(3), grad: f32(3), moments: { v: f32(3) } };
    expect(Object.keys(T.adafactor(vector).moments)).toEqual(['v']);
  });

  const kept = { adamw: ['m', 'v'], lion: ['m'], sgd: ['m'], adafactor: [] };
  const wrong = names.flatMap((name) => {
    const n = right[name].hyper.size;
    return [
      [name, 'param', leaf('bf16', 2, 3)],
      ...['grad', ...kept[name]].flatMap((key) => [
        [name, key, leaf('bf16', 2, 3)],
        // As many values in other places.
        [name, key, f32(3, 2)],
        [name, key, f32(2, 2)],
      ]),
      [name, 'hyper', leaf('i32', n)],
      [name, 'hyper', f32(n - 1)],
      [name, 'hyper', f32(n + 1)],
      [name, 'gradNormSquared', leaf('i32')],
      [name, 'gradNormSquared', f32(2)],
    ] as [Name, string, T.Tensor][];
  });
  it.each(wrong)('%s refuses another %s', (name, key, tensor) => {
    const run = () => updates[name]({ ...right[name], [key]: tensor });
    expect(run).toThrow(T.TensorShapeError);
    expect(run).toThrow(new RegExp(`^${name}: ${key} is ${tensor.dtype}\\[.*, for a parameter `));
  });

  it('adafactor refuses moments of another kind or shape', () => {
    const of = (args: T.AdafactorArgs['moments']) => () => T.adafactor({ ...right.adafactor, moments: args });
    expect(of({ v: f32(2, 3) })).toThrow(/^adafactor: row is missing, not f32\[2, 1\]/);
    expect(of({ ...moments, col: f32(3, 1) })).toThrow(/^adafactor: col is f32\[3, 1\], not f32\[1, 3\]/);
    expect(of({ ...moments, row: leaf('bf16', 2, 1) })).toThrow(/^adafactor: row is bf16/);
  });
});
