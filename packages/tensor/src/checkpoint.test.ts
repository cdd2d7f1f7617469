import { openGpu, type Gpu } from '@lapidary/gpu';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { checkpoint, gradients } from './autograd.js';
import type { Tensor } from './graph.js';
import { mul } from './ops/elementwise.js';
import { matmul } from './ops/matmul.js';
import { rmsNorm } from './ops/norm.js';
import { sum } from './ops/reduce.js';
import { evaluate } from './program/compile.js';
import { variableFrom } from './variable.js';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterAll(() => gpu.destroy());

const leaf = (shape: number[], seed: number): Tensor => {
  const data = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(seed + i * 1.7));
  return variableFrom(gpu, data, shape).tensor;
};

type Wrap = typeof checkpoint;
const asItIs: Wrap = (fn) => fn;

/** What `make` gives with its blocks kept, and with them computed again. */
async function bothWays(make: (wrap: Wrap) => readonly Tensor[]): Promise<[Float32Array[], Float32Array[]]> {
  return [await evaluate(gpu, make(asItIs)), await evaluate(gpu, make(checkpoint))];
}

it('a norm without a weight, read twice, comes out the same when it is computed again', async () => {
  const [x, w] = [leaf([3, 8], 1), leaf([8, 8], 2)];
  const [kept, again] = await bothWays((wrap) => {
    const block = wrap((h: Tensor) => {
      const normed = rmsNorm(matmul(h, w), null, { eps: 1e-6 });
      return mul(normed, matmul(normed, w));
    });
    const loss = sum(block(x));
    return [loss, ...gradients(loss, [x, w]).map((grad) => grad!)];
  });
  expect(again).toEqual(kept);
  expect(kept[1]!.some((v) => Math.abs(v) > 1e-3)).toBe(true);
});
