import { openGpu, type Gpu } from '@lapidary/gpu';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { gradients } from '../autograd.js';
import type { Tensor } from '../graph.js';
import { add, constant, gelu, mul, silu } from '../ops/elementwise.js';
import { matmul } from '../ops/matmul.js';
import { rmsNorm } from '../ops/norm.js';
import { sum } from '../ops/reduce.js';
import { reshape, slice } from '../ops/shape.js';
import { type Variable, variableFrom } from '../variable.js';
import { Program } from './program.js';
import { planProgram, type Update } from './plan.js';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterAll(() => gpu.destroy());

const size = 8;
const values = (seed: number) => Float32Array.from({ length: size * size }, (_, i) => ((i * seed * 7) % 11) - 5);
const leaf = (seed: number): Variable =>
  variableFrom(gpu, values(seed), [size, size], { category: 'trainable', name: `leaf ${seed}` });

/** Small whole numbers: every order of additions gives the same sum. */
function product(a: Float32Array, b: Float32Array): Float32Array {
  return Float32Array.from({ length: size * size }, (_, i) => {
    let sum = 0;
    for (let k = 0; k < size; k++) sum += a[Math.floor(i / size) * size + k]! * b[k * size + (i % size)]!;
    return sum;
  });
}
const plus = (a: Float32Array, b: Float32Array) => a.map((v, i) => v + b[i]!);

/** Runs what `make` makes; gives its outputs and the shaders that ran. */
async function run(make: (...leaves: Tensor[]) => Tensor[], updates: (...leaves: Variable[]) => Update[] = () => []) {
  const leaves = [leaf(1), leaf(2), leaf(3)];
  const plan = planProgram(gpu.profile, make(...leaves.map((v) => v.tensor)), updates(...leaves));
  const program = await Program.create(gpu, plan);
  program.run();
  const outputs = await program.read(0);
  const shaders = plan.calls.map(({ shader }) => shader.split('/')[0]);
  program.destroy();
  return { output: outputs, plan, shaders, leaves };
}

const [a, b, c] = [values(1), values(2), values(3)];

it('adds a tensor to a product while it is written, through reshapes', async () => {
  const { output, shaders, plan } = await run((x, y, z) => [
    reshape(add(z!, reshape(reshape(matmul(x!, y!), [-1]), [size, size])), [4, 16]),
  ]);
  expect(shaders).toEqual(['matmul']);
  expect(plan.callTypes[0]).toBe('f32[8, 8], f32[8, 8], f32[8, 8] → f32[8, 8]');
  expect(output).toEqual(plus(product(a, b), c));
});

it('adds up products in one memory', async () => {
  const { output, shaders, plan } = await run((x, y, z) => [
    mul(add(add(matmul(x!, y!), matmul(y!, z!)), matmul(z!, x!)), add(x!, y!)),
  ]);
  expect(shaders).toEqual(['matmul', 'matmul', 'matmul', 'elementwise']);
  expect(plan.slotBytes).toEqual([size * size * 4]);
  const total = plus(plus(product(a, b), product(b, c)), product(c, a));
  expect(output).toEqual(total.map((v, i) => v * (a[i]! + b[i]!)));
});

it('leaves alone what is no f32, and a bias that is the other term too', async () => {
  const whole = Int32Array.from({ length: size * size }, (_, i) => i);
  const wholes = variableFrom(gpu, whole, [size, size], { name: 'whole numbers', dtype: 'i32' });
  const mixed = await run((x, y) => [mul(add(matmul(x!, y!), wholes.tensor), 1)]);
  expect(mixed.output).toEqual(product(a, b).map((v, i) => v + i));
  const both = await run((x, y, z) => {
    const bias = mul(slice(reshape(z!, [-1]), 0, 0, size), 2);
    const row = matmul(slice(x!, 0, 0, 1), y!);
    return [mul(add(add(row, bias), reshape(bias, [1, size])), 1)];
  });
  expect(both.output).toEqual(
    product(a, b)
      .slice(0, size)
      .map((v, i) => v + 4 * c[i]!),
  );
});

it('overwrites what nobody reads later, and nothing else', async () => {
  const dies = await run((x, y, z) => [mul(matmul(x!, y!, { residual: mul(z!, 2) }), 1)]);
  expect(dies.shaders).toEqual(['elementwise', 'matmul', 'elementwise']);
  expect(dies.plan.slotBytes).toEqual([size * size * 4]);
  const twice = c.map((v) => v * 2);
  expect(dies.output).toEqual(plus(product(a, b), twice));
  const lives = await run((x, y, z) => {
    const doubled = mul(z!, 2);
    return [mul(matmul(x!, y!, { residual: doubled }), doubled)];
  });
  expect(lives.output).toEqual(plus(product(a, b), twice).map((v, i) => v * twice[i]!));
});

it('does not overwrite what the product itself reads', async () => {
  const twice = a.map((v) => v * 2);
  const expected = plus(product(twice, b), twice);
  const sum = await run((x, y) => {
    const doubled = mul(x!, 2);
    return [mul(add(matmul(doubled, y!), doubled), 1)];
  });
  expect(sum.output).toEqual(expected);
  const given = await run((x, y) => {
    const doubled = mul(x!, 2);
    return [mul(matmul(doubled, y!, { residual: reshape(reshape(doubled, [-1]), [size, size]) }), 1)];
  });
  expect(given.output).toEqual(expected);
});

it('updates a variable in its own memory', async () => {
  const { output, plan, leaves } = await run(
    (x, y) => [add(x!, y!)],
    (x, y, z) => [{ variable: z, value: add(z.tensor, matmul(x.tensor, y.tensor)) }],
  );
  expect(output).toEqual(plus(a, b));
  expect(plan.calls.filter(({ shader }) => shader.startsWith('matmul'))).toHaveLength(1);
  expect(plan.slotBytes).toEqual([]);
  const read = await Program.create(gpu, planProgram(gpu.profile, [mul(leaves[2]!.tensor, 1)], []));
  read.run();
  expect(await read.read(0)).toEqual(plus(product(a, b), c));
});

it('leaves alone what others read, what is broadcast or constant, and a product added to itself', async () => {
  const kept = await run((x, y, z) => {
    const p = matmul(x!, y!);
    return [add(p, z!), p];
  });
  expect(kept.shaders).toEqual(['matmul', 'elementwise']);
  const shared = await run((x, y, z) => {
    const p = matmul(x!, y!);
    return [matmul(add(p, z!), p)];
  });
  expect(shared.shaders).toEqual(['matmul', 'elementwise', 'matmul']);
  const twice = await run((x, y) => {
    const p = matmul(x!, y!);
    return [add(p, p)];
  });
  expect(twice.shaders).toEqual(['matmul', 'elementwise']);
  expect(twice.output).toEqual(product(a, b).map((v) => v * 2));
  const filled = await run((x, y) => [add(matmul(x!, y!), constant(2, [size, size]))]);
  expect(filled.output).toEqual(product(a, b).map((v) => v + 2));
  const broadcast = await run((x, y, z) => [add(reshape(matmul(x!, y!), [1, size, size]), reshape(z!, [size, size]))]);
  expect(broadcast.output).toEqual(plus(product(a, b), c));
});

describe('a bias and an activation', () => {
  const row = Float32Array.from({ length: size }, (_, i) => (i % 3) - 1);
  const rowOf = (name: string) => variableFrom(gpu, row, [size], { category: 'trainable', name }).tensor;
  const biased = product(a, b).map((v, i) => v + row[i % size]!);
  const geluOf = (v: number) => (v / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (v + 0.044715 * v ** 3)));
  const close = (found: Float32Array, expected: Float32Array) =>
    found.forEach((v, i) => expect(v).toBeCloseTo(expected[i]!, 4));

  it('are added and applied while a product is written, through reshapes', async () => {
    const { output, shaders, plan } = await run((x, y) => [
      gelu(add(reshape(matmul(x!, y!), [2, size / 2, size]), rowOf('bias'))),
    ]);
    expect(shaders).toEqual(['matmul']);
    expect(plan.callTypes[0]).toBe('f32[8, 8], f32[8, 8], f32[8] → f32[2, 4, 8]');
    close(output, biased.map(geluOf));
    const alone = await run((x, y) => [silu(matmul(x!, y!))]);
    expect(alone.shaders).toEqual(['matmul']);
    close(
      alone.output,
      product(a, b).map((v) => v / (1 + Math.exp(-v))),
    );
  });

  it('a bias and a sum, in the place of the other term', async () => {
    const { output, shaders, plan } = await run((x, y, z) => [
      mul(add(mul(z!, 2), add(matmul(x!, y!), rowOf('bias'))), 1),
    ]);
    expect(shaders).toEqual(['elementwise', 'matmul', 'elementwise']);
    expect(plan.slotBytes).toEqual([size * size * 4]);
    expect(output).toEqual(
      plus(
        biased,
        c.map((v) => v * 2),
      ),
    );
  });

  it('a second bias, and a sum after an activation, are kernels of their own', async () => {
    const second = await run((x, y) => [add(add(matmul(x!, y!), rowOf('one')), rowOf('two'))]);
    expect(second.shaders).toEqual(['matmul', 'elementwise']);
    expect(second.output).toEqual(biased.map((v, i) => v + row[i % size]!));
    const after = await run((x, y, z) => [add(gelu(matmul(x!, y!)), z!)]);
    expect(after.shaders).toEqual(['matmul', 'elementwise']);
    close(after.output, plus(product(a, b).map(geluOf), c));
  });

  it('what others read stays: the value before an activation', async () => {
    const { output, shaders } = await run((x, y) => {
      const before = add(matmul(x!, y!), rowOf('bias'));
      return [mul(gelu(before), before)];
    });
    expect(shaders).toEqual(['matmul', 'elementwise']);
    close(
      output,
      biased.map((v) => v * geluOf(v)),
    );
  });

  it('a column, and a row of another length than those of the product, are no bias', async () => {
    const column = variableFrom(gpu, row, [size, 1], { category: 'trainable', name: 'column' }).tensor;
    const across = await run((x, y) => [add(matmul(x!, y!), column)]);
    expect(across.shaders).toEqual(['matmul', 'elementwise']);
    const half = variableFrom(gpu, row.subarray(0, 4), [4], { category: 'trainable', name: 'half' }).tensor;
    const shorter = await run((x, y) => [add(reshape(matmul(x!, y!), [size * 2, 4]), half)]);
    expect(shorter.shaders).toEqual(['matmul', 'elementwise']);
    expect(shorter.output).toEqual(product(a, b).map((v, i) => v + row[i % 4]!));
  });
});

it('adds a tensor to a norm, and to its gradient, while they are written', async () => {
  const weight = new Float32Array(size).fill(1);
  const weights = variableFrom(gpu, weight, [size], { category: 'trainable', name: 'weight' });
  const normed = (x: Float32Array) =>
    x.map((v, i) => {
      const row = x.subarray(i - (i % size), i - (i % size) + size);
      return v / Math.sqrt(row.reduce((sum, w) => sum + w * w, 0) / size + 1e-6);
    });
  const { output, shaders } = await run((x, y) => [add(y!, rmsNorm(x!, weights.tensor, { eps: 1e-6 }))]);
  expect(shaders).toEqual(['norm']);
  output.forEach((v, i) => expect(v).toBeCloseTo(b[i]! + normed(a)[i]!, 5));
  // Its activation or bias is a kernel of its own.
  const biased = await run((x) => [gelu(add(rmsNorm(x!, weights.tensor, { eps: 1e-6 }), weights.tensor))]);
  expect(biased.shaders).toEqual(['norm', 'elementwise']);
  const back = await run((x) => {
    const loss = sum(mul(add(x!, rmsNorm(x!, weights.tensor, { eps: 1e-6 })), constant(2)));
    return [gradients(loss, [x!])[0]!];
  });
  expect(back.shaders.filter((name) => name === 'norm')).toHaveLength(1);
  expect(back.plan.callNames).not.toContain('add');
});
