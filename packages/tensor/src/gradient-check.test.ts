// Every differentiable op against central differences: along a random direction, (L(x + εu) − L(x − εu)) / 2ε must be ⟨∇L, u⟩.
import { openGpu, type Gpu } from '@lapidary/gpu';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as T from './index.js';

/** One check: the op's inputs (values and shapes), which are differentiated, and the op. */
interface Check {
  readonly inputs: Readonly<Record<string, { shape: number[]; data: Float32Array | Int32Array }>>;
  readonly fn: (inputs: Readonly<Record<string, T.Tensor>>) => T.Tensor;
}

let seed = 1;
/** Uniform in [0, 1): a linear congruential generator is random enough here. */
const random = () => {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return seed / 2 ** 32;
};
const values = (shape: number[], from = -1, to = 1) => ({
  shape,
  data: Float32Array.from({ length: T.sizeOf(shape) }, () => from + (to - from) * random()),
});
/** Values at least 0.1 apart from each other and from 0, so that no ε crosses a kink. */
const apart = (shape: number[]) => {
  const n = T.sizeOf(shape);
  const order = Array.from({ length: n }, (_, i) => i).sort(() => random() - 0.5);
  return { shape, data: Float32Array.from(order, (i) => (i - n / 2 + 0.5) * 0.2) };
};
const whole = (shape: number[], ...data: number[]) => ({ shape, data: Int32Array.from(data) });

const unary = (fn: (x: T.Tensor) => T.Tensor, x = values([5, 7])): Check => ({ inputs: { x }, fn: (i) => fn(i.x!) });
const binary = (fn: (a: T.Tensor, b: T.Tensor) => T.Tensor, a = values([5, 7]), b = values([7])): Check => ({
  inputs: { a, b },
  fn: (i) => fn(i.a!, i.b!),
});
const positive = (shape: number[]) => values(shape, 0.5, 2);

/** (segment, block, position, 0) of each token: causal, all in one segment, the last token of row 1 padding. */
function records(batch: number, length: number) {
  return whole(
    [batch, length, 4],
    ...Array.from({ length: batch * length }, (_, i) => {
      const at = i % length;
      return [i === 2 * length - 1 ? 0 : 1, at, at, 0];
    }).flat(),
  );
}

const attention = (options: T.AttentionOptions): Check => ({
  inputs: { q: values([2, 5, 4, 8]), k: values([2, 5, 2, 8]), v: values([2, 5, 2, 8]), info: records(2, 5) },
  fn: ({ q, k, v, info }) => T.attention(q!, k!, v!, info!, info!, options),
});

const crossEntropy = (softcap: number, labelSmoothing = 0): Check => ({
  inputs: { hidden: values([6, 8]), weight: values([11, 8]), targets: whole([6], 3, 0, 10, -1, 7, 3) },
  fn: ({ hidden, weight, targets }) =>
    T.linearCrossEntropy(hidden!, weight!, targets!, { softcap, labelSmoothing }).losses,
});

const dropSeed = whole([1], 7);

const checks: Record<string, Check> = {
  add: binary(T.add),
  sub: binary(T.sub),
  mul: binary(T.mul),
  div: binary(T.div, values([5, 7]), positive([7])),
  maximum: binary(T.maximum, apart([5, 6]), values([6], 0.01, 0.05)),
  minimum: binary(T.minimum, apart([5, 6]), values([6], 0.01, 0.05)),
  where: {
    inputs: { condition: whole([4, 3], 1, 0, 1, 0, 0, 1, 1, 1, 0, 1, 0, 0), a: values([4, 3]), b: values([4, 3]) },
    fn: ({ condition, a, b }) => T.where(T.cast(condition!, 'f32'), a!, b!),
  },
  neg: unary(T.neg),
  abs: unary(T.abs, apart([5, 6])),
  exp: unary(T.exp),
  log: unary(T.log, positive([5, 7])),
  sqrt: unary(T.sqrt, positive([5, 7])),
  rsqrt: unary(T.rsqrt, positive([5, 7])),
  reciprocal: unary(T.reciprocal, positive([5, 7])),
  square: unary(T.square),
  sin: unary(T.sin),
  cos: unary(T.cos),
  tanh: unary(T.tanh),
  sigmoid: unary(T.sigmoid),
  relu: unary(T.relu, apart([5, 6])),
  silu: unary(T.silu),
  gelu: unary(T.gelu),
  dropout: {
    inputs: { x: values([5, 7]), dropSeed },
    fn: ({ x, dropSeed: s }) => T.dropout(x!, 0.4, s!, 3),
  },
  geglu: binary(T.geglu, values([5, 7]), values([5, 7])),
  matmul: binary((a, b) => T.matmul(a, b), values([2, 3, 5]), values([2, 5, 7])),
  'matmul of the transposes': binary(
    (a, b) => T.matmul(a, b, { transposeA: true, transposeB: true }),
    values([5, 3]),
    values([7, 5]),
  ),
  linear: {
    inputs: { x: values([4, 6]), weight: values([5, 6]), a: values([2, 6]), b: values([5, 2]) },
    fn: ({ x, weight, a, b }) => T.linear(x!, { weight: weight!, lora: { a: a!, b: b!, scale: 2 } }),
  },
  'linear with scaled rows': {
    inputs: {
      x: values([4, 6]),
      weight: values([5, 6]),
      bias: values([5]),
      a: values([2, 6]),
      b: values([5, 2]),
      rowScale: positive([5]),
    },
    fn: ({ x, weight, bias, a, b, rowScale }) =>
      T.linear(x!, { weight: weight!, bias: bias!, lora: { a: a!, b: b!, rowScale: rowScale!, scale: 2 } }),
  },
  // Of the magnitude alone: all else counts as constant.
  doraRowScale: {
    inputs: { magnitude: positive([5]), drawn: dropSeed },
    fn: ({ magnitude, drawn }) => {
      const [weight, a, b] = [
        [5, 6],
        [2, 6],
        [5, 2],
      ].map((shape, i) => T.randomUniform(drawn!, i, shape)) as [T.Tensor, T.Tensor, T.Tensor];
      const weightNorm = T.sqrt(T.sum(T.square(weight), 1));
      return T.doraRowScale(weight, { a, b, scale: 3, magnitude: magnitude!, weightNorm });
    },
  },
  rmsNorm: binary((x, w) => T.rmsNorm(x, w, { eps: 1e-6, weightOffset: 1 })),
  'rmsNorm by the weight as it is': binary((x, w) => T.rmsNorm(x, w, { eps: 1e-6 })),
  'rmsNorm without a weight': unary((x) => T.rmsNorm(x, null, { eps: 1e-6 })),
  layerNorm: {
    inputs: { x: values([5, 7]), weight: values([7]), bias: values([7]) },
    fn: ({ x, weight, bias }) => T.layerNorm(x!, weight!, bias!, { eps: 1e-6 }),
  },
  softmax: unary(T.softmax),
  sum: unary((x) => T.sum(x, 0)),
  mean: unary((x) => T.mean(x, -1, true)),
  max: unary((x) => T.max(x, 1), apart([5, 6])),
  min: unary((x) => T.min(x, 0), apart([5, 6])),
  sumOfSquares: binary((a, b) => T.sumOfSquares([a, b])),
  embedding: {
    inputs: { table: values([6, 4]), ids: whole([2, 3], 5, 0, 2, 2, 5, 5) },
    fn: ({ table, ids }) => T.embedding(table!, ids!, { scale: 2 }),
  },
  attention: attention({ scale: 0.35 }),
  'attention of large heads': {
    inputs: { q: values([1, 3, 2, 260]), k: values([1, 3, 1, 260]), v: values([1, 3, 1, 260]), info: records(1, 3) },
    fn: ({ q, k, v, info }) => T.attention(q!, k!, v!, info!, info!, { scale: 0.1 }),
  },
  'attention with a window and a soft-cap': attention({ scale: 0.35, window: 2, softcap: 1.5 }),
  rope: {
    inputs: { x: values([2, 5, 2, 8]), info: records(2, 5) },
    fn: ({ x, info }) => T.rope(x!, info!, { theta: 100, scalingFactor: 2 }),
  },
  'rope of some pairs': {
    inputs: { x: values([1, 5, 2, 8]), info: records(1, 5) },
    fn: ({ x, info }) => T.rope(x!, info!, { theta: 100, rotatedPairs: 3 }),
  },
  linearCrossEntropy: crossEntropy(0),
  'linearCrossEntropy with a soft-cap': crossEntropy(2),
  reshape: unary((x) => T.reshape(x, [7, 5])),
  transpose: unary((x) => T.transpose(x, [2, 0, 1]), values([2, 3, 4])),
  slice: unary((x) => T.slice(x, 1, 2, 6)),
  split: unary(
    (x) => {
      const [first, , third] = T.split(x, 1) as [T.Tensor, T.Tensor, T.Tensor];
      return T.mul(T.reshape(first, [2, 4]), T.tanh(T.reshape(third, [2, 4])));
    },
    values([2, 3, 4]),
  ),
  concat: binary((a, b) => T.concat([a, b, a], 1), values([3, 4]), values([3, 2])),
  cast: unary((x) => T.cast(x, 'f32')),
  checkpoint: binary((a, b) => T.checkpoint((x: T.Tensor) => T.tanh(T.mul(T.exp(x), b)))(a)),
  'linearCrossEntropy with label smoothing': crossEntropy(2, 0.2),
};

/** Exports that take tensors and have no gradient, or compute one. */
const withoutGradient = [
  'adafactor',
  'adafactorMoments',
  'adamw',
  'lion',
  'sgd',
  'broadcastShapes',
  'compile',
  'constant',
  'constantI32',
  'copySpeed',
  'equal',
  'evaluate',
  'formatType',
  'gradients',
  'greater',
  'greaterEqual',
  'input',
  'leastNanoseconds',
  'measureCeiling',
  'nodesBelow',
  'planProgram',
  'profileClock',
  'randomUniform',
  'scatterRows',
  'sharedInputBytes',
  'sharedSlotBytes',
  'sign',
  'sizeOf',
  'stopGradient',
  'sumByKernel',
  'trace',
  'treeEntries',
  'treeFromEntries',
  'valueAndGrad',
  'variableFrom',
];

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterAll(() => gpu.destroy());

it('checks every op that the package exports', () => {
  const exported = Object.entries(T).filter(([name, value]) => typeof value === 'function' && /^[a-z]/.test(name));
  const unchecked = exported.map(([name]) => name).filter((name) => !withoutGradient.includes(name));
  expect(unchecked.filter((name) => !(name in checks))).toEqual([]);
});

describe('gradients are those of finite differences', () => {
  const epsilon = 5e-3;
  it.each(Object.entries(checks))('%s', async (_name, { inputs, fn }) => {
    const variables = new Map(
      Object.entries(inputs).map(([name, { data, shape }]) => [
        name,
        T.variableFrom(gpu, data, shape, { dtype: data instanceof Int32Array ? 'i32' : 'f32' }),
      ]),
    );
    const out = fn(Object.fromEntries([...variables].map(([name, v]) => [name, v.tensor])));
    const cotangent = values([...out.shape]);
    const c = T.variableFrom(gpu, cotangent.data, cotangent.shape);
    const floats = Object.entries(inputs).filter(([, { data }]) => data instanceof Float32Array);
    const grads = T.gradients(
      T.sum(T.mul(out, c.tensor)),
      floats.map(([name]) => variables.get(name)!.tensor),
    );
    const results = await T.evaluate(
      gpu,
      grads.map((g) => g!),
    );
    /** The loss, summed in double precision. */
    const loss = async () => {
      const [y] = await T.evaluate(gpu, [out]);
      return y!.reduce((total, v, i) => total + v * cotangent.data[i]!, 0);
    };
    for (const [i, [name, { data, shape }]] of floats.entries()) {
      const grad = results[i]!;
      const direction = values(shape).data;
      const variable = variables.get(name)!;
      const at = async (step: number) => {
        variable.write(Float32Array.from(data, (x, n) => x + step * direction[n]!));
        return loss();
      };
      const found = ((await at(epsilon)) - (await at(-epsilon))) / (2 * epsilon);
      variable.write(data);
      const expected = grad.reduce((total, g, n) => total + g * direction[n]!, 0);
      // The size that ⟨∇L, u⟩ has for a random u.
      const size = Math.sqrt(grad.reduce((total, g) => total + g * g, 0) / 3);
      expect(size, `gradient of ${name}`).toBeGreaterThan(0);
      expect(Math.abs(found - expected) / size, `gradient of ${name}`).toBeLessThan(2e-3);
    }
    for (const variable of [...variables.values(), c]) variable.destroy();
  });
});
