import { describe, expect, test } from 'vitest';
import type { DType } from '../dtype.js';
import { elementwise, type ElementwiseOp, type ElementwiseStep } from './elementwise.js';
import { geluReference } from '../reference/geglu.js';
import { runKernels } from '../run-kernels.js';
import { randomStored } from '../testing/half-floats.js';
import { emptyOutput, randomArray, readF32, relativeError, testGpu, upload, uploadBytes } from '../testing/test-gpu.js';
import { bindingFaults, withBindingLimit } from '../testing/tiny-profile.js';

const step = (op: ElementwiseOp, ...args: number[]): ElementwiseStep => ({ op, args });
const constant = (value: number): ElementwiseStep => ({ op: 'constant', args: [], value });

/** Largest error of one value, relative to the value or to `floor` where it is smaller. */
function worst(found: ArrayLike<number>, expected: ArrayLike<number>, floor = 1e-30): number {
  let most = 0;
  for (let i = 0; i < expected.length; i++) {
    const error = Math.abs(found[i]! - expected[i]!) / Math.max(Math.abs(expected[i]!), floor);
    most = Number.isNaN(error) ? Number.POSITIVE_INFINITY : Math.max(most, error);
  }
  return most;
}

/** Runs unary operations on the same values, all in one kernel. */
async function unary(x: Float32Array, ops: ElementwiseOp[]): Promise<Float32Array[]> {
  const gpu = await testGpu();
  const outs = ops.map(() => emptyOutput(gpu, x.length));
  await runKernels(
    gpu,
    elementwise(gpu.profile, {
      shape: [x.length],
      inputs: [{ operand: upload(gpu, x), strides: [1] }],
      steps: ops.map((op) => step(op, 0)),
      outputs: outs.map((operand, i) => ({ operand, value: i + 1 })),
    }),
  );
  return Promise.all(outs.map((out) => readF32(gpu, out, x.length)));
}

// Both paths: four values a thread, and one.
describe.each([1000, 997])('functions of %i values', (n) => {
  const sweep = (from: number, to: number) =>
    Float32Array.from({ length: n }, (_, i) => from + ((to - from) * i) / (n - 1));

  test('exp, tanh, sigmoid, silu and gelu are right to a few units in the last place', async () => {
    for (const x of [sweep(-18, 18), sweep(-0.7, 0.7), sweep(-1e-3, 1e-3)]) {
      const [exp, tanh, sigmoid, silu, gelu] = await unary(x, ['exp', 'tanh', 'sigmoid', 'silu', 'gelu']);
      expect(worst(exp!, Array.from(x, Math.exp))).toBeLessThan(3e-7);
      expect(worst(tanh!, Array.from(x, Math.tanh))).toBeLessThan(3e-7);
      const s = Array.from(x, (v) => 1 / (1 + Math.exp(-v)));
      expect(worst(sigmoid!, s)).toBeLessThan(4e-7);
      expect(
        worst(
          silu!,
          Array.from(x, (v, i) => v * s[i]!),
        ),
      ).toBeLessThan(4e-7);
      expect(
        worst(
          gelu!,
          Array.from(x, (v) => geluReference(v).value),
          1e-2,
        ),
      ).toBeLessThan(1e-6);
    }
  });

  test('log, sqrt, rsqrt, reciprocal and square', async () => {
    for (const x of [sweep(1e-3, 9), sweep(1e5, 1e9), sweep(0.99, 1.01), sweep(1e-37, 1e-36)]) {
      const [log, sqrt, rsqrt, reciprocal, square] = await unary(x, ['log', 'sqrt', 'rsqrt', 'reciprocal', 'square']);
      expect(worst(log!, Array.from(x, Math.log))).toBeLessThan(3e-7);
      expect(worst(sqrt!, Array.from(x, Math.sqrt))).toBeLessThan(3e-7);
      expect(
        worst(
          rsqrt!,
          Array.from(x, (v) => 1 / Math.sqrt(v)),
        ),
      ).toBeLessThan(3e-7);
      expect(
        worst(
          reciprocal!,
          Array.from(x, (v) => 1 / v),
        ),
      ).toBeLessThan(3e-7);
      expect(
        worst(
          square!,
          Array.from(x, (v) => v * v),
          1e-30,
        ),
      ).toBeLessThan(2e-7);
    }
  });

  test('sin, cos, neg, abs, sign and relu, near and far', async () => {
    for (const x of [sweep(-4, 4), sweep(-131_072, 131_072)]) {
      const [sin, cos, neg, abs, sign, relu] = await unary(x, ['sin', 'cos', 'neg', 'abs', 'sign', 'relu']);
      expect(worst(sin!, Array.from(x, Math.sin), 0.1)).toBeLessThan(1e-6);
      expect(worst(cos!, Array.from(x, Math.cos), 0.1)).toBeLessThan(1e-6);
      expect([...neg!].map((v) => v + 0)).toEqual(Array.from(x, (v) => -v + 0));
      expect([...abs!]).toEqual(Array.from(x, Math.abs));
      expect([...sign!]).toEqual(Array.from(x, Math.sign));
      expect([...relu!]).toEqual(Array.from(x, (v) => Math.max(v, 0)));
    }
  });

  test('two and three arguments', async () => {
    const gpu = await testGpu();
    // Whole numbers, so that some are equal.
    const a = randomArray(n, 1, 4).map((v) => Math.round(v) + 0);
    const b = randomArray(n, 2, 4).map((v) => Math.round(v) + 0);
    const rules: [ElementwiseOp, (a: number, b: number) => number][] = [
      ['sub', (x, y) => x - y],
      ['max', Math.max],
      ['min', Math.min],
      ['greater', (x, y) => (x > y ? 1 : 0)],
      ['greaterEqual', (x, y) => (x >= y ? 1 : 0)],
      ['equal', (x, y) => (x === y ? 1 : 0)],
    ];
    const outs = rules.map(() => emptyOutput(gpu, n));
    const inputs = [a, b].map((v) => ({ operand: upload(gpu, v), strides: [1] }));
    const outputs = outs.map((operand, i) => ({ operand, value: i + 2 }));
    const both = elementwise(gpu.profile, { shape: [n], inputs, steps: rules.map(([op]) => step(op, 0, 1)), outputs });
    const [where, pow] = [emptyOutput(gpu, n), emptyOutput(gpu, n)];
    const chosen = elementwise(gpu.profile, {
      shape: [n],
      inputs,
      steps: [constant(1.5), step('where', 0, 1, 2), step('pow', 0, 1)],
      outputs: [
        { operand: where, value: 3 },
        { operand: pow, value: 4 },
      ],
    });
    await runKernels(gpu, [...both, ...chosen]);
    for (const [i, [, rule]] of rules.entries()) {
      expect(await readF32(gpu, outs[i]!, n)).toEqual(Float32Array.from(a, (v, j) => rule(v, b[j]!)));
    }
    expect([...(await readF32(gpu, where, n))]).toEqual(Array.from(a, (v, i) => (v === 0 ? 1.5 : b[i]!)));
    const powers = await readF32(gpu, pow, n);
    // A negative power of 0 is infinite, and no error can be taken of it.
    const finite = [...a.keys()].filter((i) => Number.isFinite(a[i]! ** b[i]!));
    expect(
      worst(
        finite.map((i) => powers[i]!),
        finite.map((i) => a[i]! ** b[i]!),
      ),
    ).toBeLessThan(2e-6);
  });
});

test('at the ends: large arguments saturate, and NaN stays NaN', async () => {
  const x = Float32Array.of(-1e30, -200, 0, 200, 1e30, Number.NaN, Number.NaN, Number.NaN);
  const [exp, tanh, sigmoid, silu, gelu] = await unary(x, ['exp', 'tanh', 'sigmoid', 'silu', 'gelu']);
  const tail = [Number.NaN, Number.NaN, Number.NaN];
  const plain = (v: Float32Array) => [...v].map((e) => e + 0);
  expect(plain(exp!)).toEqual([0, 0, 1, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, ...tail]);
  expect(plain(tanh!)).toEqual([-1, -1, 0, 1, 1, ...tail]);
  expect(plain(sigmoid!)).toEqual([0, 0, 0.5, 1, 1, ...tail]);
  expect(plain(silu!)).toEqual([0, 0, 0, 200, Math.fround(1e30), ...tail]);
  expect(plain(gelu!)).toEqual([0, 0, 0, 200, Math.fround(1e30), ...tail]);
});

/** Reads `data` at every place of `shape` by strides. */
function strided(data: ArrayLike<number>, shape: number[], strides: number[]): number[] {
  const size = shape.reduce((a, b) => a * b, 1);
  return Array.from({ length: size }, (_, e) => {
    let rest = e;
    let at = 0;
    for (let d = shape.length - 1; d >= 0; d--) {
      at += (rest % shape[d]!) * strides[d]!;
      rest = Math.floor(rest / shape[d]!);
    }
    return data[at]!;
  });
}

test.each([
  { shape: [1], a: [0], b: [0] },
  { shape: [5, 8], a: [8, 1], b: [0, 1] },
  { shape: [5, 8], a: [8, 1], b: [1, 0] },
  { shape: [3, 4, 7], a: [28, 7, 1], b: [7, 0, 1] },
  { shape: [3, 4, 8], a: [0, 8, 1], b: [1, 0, 0] },
  { shape: [6, 5], a: [1, 6], b: [5, 1] },
  { shape: [2, 3, 2, 3, 2, 3], a: [1, 2, 6, 12, 36, 72], b: [0, 1, 0, 3, 0, 9] },
])('shape $shape by strides $a and $b', async ({ shape, a, b }) => {
  const gpu = await testGpu();
  const size = shape.reduce((x, y) => x * y, 1);
  const span = (s: number[]) => 1 + s.reduce((sum, stride, d) => sum + stride * (shape[d]! - 1), 0);
  const [x, y] = [randomArray(span(a), 1), randomArray(span(b), 2)];
  const out = emptyOutput(gpu, size);
  await runKernels(
    gpu,
    elementwise(gpu.profile, {
      shape,
      inputs: [
        { operand: upload(gpu, x), strides: a },
        { operand: upload(gpu, y), strides: b },
      ],
      steps: [step('sub', 0, 1)],
      outputs: [{ operand: out, value: 2 }],
    }),
  );
  const [xs, ys] = [strided(x, shape, a), strided(y, shape, b)];
  expect([...(await readF32(gpu, out, size))]).toEqual(xs.map((v, i) => Math.fround(v - ys[i]!)));
});

test('one buffer read along rows and along columns', async () => {
  const gpu = await testGpu();
  const x = randomArray(8, 1);
  const operand = upload(gpu, x);
  const out = emptyOutput(gpu, 64);
  const inputs = [
    { operand, strides: [1, 0] },
    { operand, strides: [0, 1] },
  ];
  const outputs = [{ operand: out, value: 2 }];
  await runKernels(gpu, elementwise(gpu.profile, { shape: [8, 8], inputs, steps: [step('mul', 0, 1)], outputs }));
  const expected = Float64Array.from({ length: 64 }, (_, i) => x[i >> 3]! * x[i & 7]!);
  expect(relativeError(await readF32(gpu, out, 64), expected)).toBeLessThan(1e-7);
});

test.each([16, 15])('an output may be an input, %i values', async (n) => {
  const gpu = await testGpu();
  const [x, y] = [randomArray(n, 1), randomArray(n, 2)];
  const operand = upload(gpu, x);
  const calls = elementwise(gpu.profile, {
    shape: [n],
    inputs: [
      { operand, strides: [1] },
      { operand: upload(gpu, y), strides: [1] },
    ],
    steps: [constant(0.5), step('mul', 1, 2), step('add', 0, 3)],
    outputs: [{ operand, value: 4 }],
  });
  expect(calls[0]!.bindings).toHaveLength(2);
  await runKernels(gpu, calls);
  const expected = Float64Array.from(x, (v, i) => v + 0.5 * y[i]!);
  expect(relativeError(await readF32(gpu, operand, n), expected)).toBeLessThan(1e-7);
});

describe.each(['bf16', 'f16'] as const)('%s inputs', (dtype: Extract<DType, 'bf16' | 'f16'>) => {
  test.each([24, 23])('of %i values, in rows and broadcast', async (n) => {
    const gpu = await testGpu();
    const rows = randomStored(3 * n, 1, dtype);
    const column = randomStored(3, 2, dtype);
    const out = emptyOutput(gpu, 3 * n);
    const calls = elementwise(gpu.profile, {
      shape: [3, n],
      inputs: [
        { operand: uploadBytes(gpu, rows.bytes, dtype), strides: [n, 1] },
        { operand: uploadBytes(gpu, column.bytes, dtype), strides: [1, 0] },
      ],
      steps: [step('mul', 0, 1)],
      outputs: [{ operand: out, value: 2 }],
    });
    await runKernels(gpu, calls);
    const expected = Float64Array.from(rows.values, (v, i) => v * column.values[Math.floor(i / n)]!);
    expect(relativeError(await readF32(gpu, out, 3 * n), expected)).toBeLessThan(1e-7);
  });
});

test.each([8, 7])('i32 inputs are read as numbers, %i values', async (n) => {
  const gpu = await testGpu();
  const x = Array.from({ length: n }, (_, i) => i * 1000 - 3);
  const out = emptyOutput(gpu, n);
  const inputs = [{ operand: upload(gpu, x, 'i32'), strides: [1] }];
  const outputs = [{ operand: out, value: 2 }];
  const steps = [constant(0.5), step('mul', 0, 1)];
  await runKernels(gpu, elementwise(gpu.profile, { shape: [n], inputs, steps, outputs }));
  expect([...(await readF32(gpu, out, n))]).toEqual(x.map((v) => v * 0.5));
});

test.each([
  {
    shape: [700, 5],
    strides: [
      [5, 1],
      [0, 1],
      [1, 0],
    ],
  },
  {
    shape: [400, 8],
    strides: [
      [8, 1],
      [0, 1],
      [1, 0],
    ],
  },
])('windows over $shape', async ({ shape, strides }) => {
  const gpu = await testGpu();
  const profile = withBindingLimit(gpu.profile, 8192);
  const [rows, dim] = shape as [number, number];
  const x = randomArray(rows * dim, 1);
  const y = randomArray(dim, 2);
  const column = randomStored(rows, 3, 'bf16');
  const operands = [upload(gpu, x), upload(gpu, y), uploadBytes(gpu, column.bytes, 'bf16')];
  const out = emptyOutput(gpu, rows * dim);
  const calls = elementwise(profile, {
    shape,
    inputs: operands.map((operand, i) => ({ operand, strides: strides[i]! })),
    steps: [step('mul', 0, 1), step('add', 3, 2)],
    outputs: [{ operand: out, value: 4 }],
  });
  expect(calls.length).toBeGreaterThan(1);
  expect(bindingFaults(calls, 8192)).toEqual([]);
  await runKernels(gpu, calls);
  const expected = Float64Array.from(x, (v, i) => v * y[i % dim]! + column.values[Math.floor(i / dim)]!);
  expect(relativeError(await readF32(gpu, out, rows * dim), expected)).toBeLessThan(2e-7);
});

test('an input that reaches further than a binding is an error that says so', async () => {
  const gpu = await testGpu();
  const operand = upload(gpu, new Float32Array(4096));
  const inputs = [{ operand, strides: [1, 1024] }];
  const outputs = [{ operand: emptyOutput(gpu, 4096), value: 1 }];
  const args = { shape: [1024, 4], inputs, steps: [step('neg', 0)], outputs };
  expect(() => elementwise(withBindingLimit(gpu.profile, 8192), args)).toThrow(/input 0 reaches over \d+ bytes/);
});

describe('uniform', () => {
  async function draw(n: number, seed: number, stream: number, limit = 0): Promise<Float32Array> {
    const gpu = await testGpu();
    const profile = limit ? withBindingLimit(gpu.profile, limit) : gpu.profile;
    const out = emptyOutput(gpu, n);
    const calls = elementwise(profile, {
      shape: [n],
      inputs: [{ operand: upload(gpu, [seed], 'i32'), strides: [0] }],
      steps: [constant(stream), step('uniform', 0, 1)],
      outputs: [{ operand: out, value: 2 }],
    });
    await runKernels(gpu, calls);
    return readF32(gpu, out, n);
  }

  test('is even over [0, 1), and neighbours have nothing in common', async () => {
    const n = 40_000;
    const x = await draw(n, 1, 0);
    expect(x.every((v) => v >= 0 && v < 1)).toBe(true);
    const mean = x.reduce((sum, v) => sum + v / n, 0);
    // Four standard deviations of the mean of n values, and of the mean of their products.
    expect(Math.abs(mean - 0.5)).toBeLessThan((4 * Math.sqrt(1 / 12)) / Math.sqrt(n));
    let product = 0;
    for (let i = 1; i < n; i++) product += ((x[i]! - 0.5) * (x[i - 1]! - 0.5)) / (n - 1);
    expect(Math.abs(product)).toBeLessThan(4 / 12 / Math.sqrt(n));
    const tenths = new Array<number>(10).fill(0);
    for (const v of x) tenths[Math.floor(v * 10)]!++;
    for (const count of tenths) expect(Math.abs(count - n / 10)).toBeLessThan(4 * Math.sqrt(n * 0.09));
  });

  test('depends on seed and stream alone: not on how many are drawn, nor on windows', async () => {
    const x = await draw(1000, 7, 3);
    expect(await draw(1000, 7, 3)).toEqual(x);
    expect(await draw(997, 7, 3)).toEqual(x.slice(0, 997));
    expect(await draw(1000, 7, 3, 1024)).toEqual(x);
    // Small seeds lie close together as bits, and are denormal as floats.
    for (const other of [await draw(1000, 8, 3), await draw(1000, 7, 4), await draw(1000, 0, 3)]) {
      expect(other.filter((v, i) => v === x[i]).length).toBeLessThan(3);
    }
  });
});
