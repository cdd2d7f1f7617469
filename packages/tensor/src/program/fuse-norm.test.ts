import { openGpu, type Gpu } from '@lapidary/gpu';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { checkpoint, gradients } from '../autograd.js';
import type { Tensor } from '../graph.js';
import { add, gelu, mul } from '../ops/elementwise.js';
import { linear } from '../ops/linear.js';
import { matmul } from '../ops/matmul.js';
import { rmsNorm } from '../ops/norm.js';
import { sum } from '../ops/reduce.js';
import { reshape } from '../ops/shape.js';
import { Variable, variableFrom } from '../variable.js';
import { Program } from './program.js';
import { planProgram } from './plan.js';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterAll(() => gpu.destroy());

const dim = 16;
const options = { eps: 1e-6, weightOffset: 1 };
const values = (n: number, seed: number) => Float32Array.from({ length: n }, (_, i) => ((i * seed * 7) % 11) / 8 - 0.5);
const leaf = (shape: number[], seed: number): Tensor => {
  const n = shape.reduce((a, b) => a * b, 1);
  return variableFrom(gpu, values(n, seed), shape, { category: 'trainable', name: `leaf ${seed}` }).tensor;
};

/** What plans for a GPU are made from, on the adapter of the tests. */
const onGpu = () => ({ ...gpu.profile, adapter: { ...gpu.profile.adapter, isSoftware: false } });

/** Runs what `make` makes of its own leaves; gives the outputs and what ran. */
async function run(make: () => Tensor[]) {
  const made = make();
  const plan = planProgram(onGpu(), made, []);
  const program = await Program.create(gpu, plan);
  program.run();
  const outputs: Float32Array[] = [];
  for (let i = 0; i < made.length; i++) outputs.push(await program.read(i));
  program.destroy();
  return { outputs, plan, shaders: plan.calls.map(({ shader }) => shader.split('/')[0]) };
}

const [x, gain] = [values(dim, 1), values(dim, 2)];
const root = Math.sqrt(x.reduce((sum, v) => sum + v * v, 0) / dim + options.eps);
const normed = x.map((v, i) => (v / root) * (1 + gain[i]!));
/** normed · Wᵀ of a leaf W [n, dim]. */
const through = (n: number, seed: number) => {
  const w = values(n * dim, seed);
  return Float32Array.from({ length: n }, (_, row) => normed.reduce((s, v, i) => s + v * w[row * dim + i]!, 0));
};
const close = (found: Float32Array, expected: Float32Array) => {
  expect(found).toHaveLength(expected.length);
  found.forEach((v, i) => expect(v).toBeCloseTo(expected[i]!, 5));
};
const normOfLeaves = (rows = 1) => rmsNorm(leaf([rows, dim], 1), leaf([dim], 2), options);

it('normalises a token in the projections that read it, through reshapes and before an activation', async () => {
  const { outputs, shaders, plan } = await run(() => {
    const h = reshape(normOfLeaves(), [1, 1, dim]);
    return [linear(h, { weight: leaf([24, dim], 3) }), gelu(matmul(h, leaf([8, dim], 4), { transposeB: true }))];
  });
  expect(shaders).toEqual(['matmul', 'matmul']);
  expect(plan.callNames).toEqual(['norm + matmul', 'norm + matmul']);
  expect(plan.callTypes[0]).toBe('f32[1, 16], f32[24, 16], f32[16] → f32[1, 24]');
  close(outputs[0]!, through(24, 3));
  const geluOf = (v: number) => (v / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (v + 0.044715 * v ** 3)));
  close(outputs[1]!, through(8, 4).map(geluOf));
});

it('also where a low-rank update reads it', async () => {
  const { outputs, shaders } = await run(() => [
    linear(normOfLeaves(), { weight: leaf([24, dim], 3), lora: { a: leaf([4, dim], 5), b: leaf([24, 4], 6) } }),
  ]);
  expect(shaders).toEqual(['matmul', 'matmul', 'matmul']);
  const [low, b] = [through(4, 5), values(24 * 4, 6)];
  close(
    outputs[0]!,
    through(24, 3).map((v, row) => v + low.reduce((s, l, i) => s + l * b[row * 4 + i]!, 0)),
  );
});

it('not on adapters of the CPU, where it costs more than it saves', async () => {
  const cpu = { ...gpu.profile, adapter: { ...gpu.profile.adapter, isSoftware: true } };
  const plan = planProgram(cpu, [linear(normOfLeaves(), { weight: leaf([24, dim], 3) })], []);
  expect(plan.callNames).toEqual(['rms norm', 'matmul']);
});

it.each([
  [
    'a value that is asked for',
    () => {
      const h = normOfLeaves();
      return [h, matmul(h, leaf([8, dim], 3), { transposeB: true })];
    },
    1,
  ],
  [
    'a value that another reads too',
    () => {
      const h = normOfLeaves();
      return [add(matmul(h, leaf([dim, dim], 3), { transposeB: true }), mul(h, 2))];
    },
    1,
  ],
  [
    'both sides of a product',
    () => {
      const h = normOfLeaves();
      return [matmul(h, h, { transposeB: true })];
    },
    1,
  ],
  ['several rows', () => [matmul(normOfLeaves(2), leaf([8, dim], 3), { transposeB: true })], 1],
  [
    'rows that become one',
    () => [matmul(reshape(normOfLeaves(2), [1, 2 * dim]), leaf([8, 2 * dim], 3), { transposeB: true })],
    1,
  ],
  ['a matrix that is not transposed', () => [matmul(normOfLeaves(), leaf([dim, 8], 3))], 1],
  [
    'what is multiplied by, not what multiplies',
    () => [matmul(leaf([1, dim], 4), normOfLeaves(), { transposeB: true })],
    1,
  ],
  ['that as a matrix', () => [matmul(leaf([1, 4], 4), reshape(normOfLeaves(), [4, 4]), { transposeB: true })], 1],
  [
    'what is recomputed for a gradient',
    () => {
      const w = leaf([8, dim], 3);
      const loss = checkpoint(() => sum(matmul(normOfLeaves(), w, { transposeB: true })))();
      return [loss, gradients(loss, [w])[0]!];
    },
    2,
  ],
  [
    'a weight in blocks',
    () => {
      const gains = new Variable('gains', { shape: [32], dtype: 'q8_0' }, 'weights').tensor;
      return [matmul(rmsNorm(leaf([1, 32], 1), gains, options), leaf([8, 32], 3), { transposeB: true })];
    },
    1,
  ],
  [
    'one without a weight',
    () => [matmul(rmsNorm(leaf([1, dim], 1), null, { eps: 1e-6 }), leaf([8, dim], 3), { transposeB: true })],
    1,
  ],
  [
    'a product with a residual or a bias',
    () => [
      matmul(normOfLeaves(), leaf([8, dim], 3), { transposeB: true, residual: leaf([1, 8], 4) }),
      linear(normOfLeaves(), { weight: leaf([8, dim], 3), bias: leaf([8], 4) }),
    ],
    2,
  ],
  [
    'what a gradient needs',
    () => {
      const [h, w] = [normOfLeaves(), leaf([8, dim], 3)];
      return [gradients(sum(matmul(h, w, { transposeB: true })), [w])[0]!];
    },
    1,
  ],
] as [string, () => Tensor[], number][])('leaves alone %s', (_, make, norms) => {
  const { callNames } = planProgram(onGpu(), make(), []);
  expect(callNames.filter((name) => name === 'rms norm')).toHaveLength(norms);
  expect(callNames.join()).not.toContain('norm +');
});
