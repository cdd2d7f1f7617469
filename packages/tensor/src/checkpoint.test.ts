import { openGpu, type Gpu } from '@lapidary/gpu';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkpoint, gradients } from './autograd.js';
import type { Tensor } from './graph.js';
import { attention, rope } from './ops/attention.js';
import { add, gelu, mul } from './ops/elementwise.js';
import { matmul } from './ops/matmul.js';
import { rmsNorm } from './ops/norm.js';
import { sum } from './ops/reduce.js';
import { reshape } from './ops/shape.js';
import { evaluate } from './program/compile.js';
import { planProgram } from './program/plan.js';
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

it('a norm without a weight, read twice, comes out the same when it is computed again', async () => {
  const [x, w] = [leaf([3, 8], 1), leaf([8, 8], 2)];
  const make = (wrap: Wrap) => {
    const block = wrap((h: Tensor) => {
      const normed = rmsNorm(matmul(h, w), null, { eps: 1e-6 });
      return mul(normed, matmul(normed, w));
    });
    const loss = sum(block(x));
    return [loss, ...gradients(loss, [x, w]).map((grad) => grad!)];
  };
  const kept = await evaluate(gpu, make(asItIs));
  const again = await evaluate(gpu, make(checkpoint));
  expect(again).toEqual(kept);
  expect(kept[1]!.some((v) => Math.abs(v) > 1e-3)).toBe(true);
});

describe('keys and values that several blocks attend to', () => {
  const [batch, tokens, heads, dim] = [2, 7, 4, 8];
  const width = heads * dim;
  const info = () => {
    const data = Int32Array.from(
      { length: batch * tokens * 4 },
      (_, i) => [1, (i >> 2) % tokens, (i >> 2) % tokens, 0][i % 4]!,
    );
    return variableFrom(gpu, data, [batch, tokens, 4], { dtype: 'i32' }).tensor;
  };
  interface Shared {
    readonly h: Tensor;
    readonly k: Tensor;
    readonly v: Tensor;
  }

  /**
   * A stack whose first and third block have keys and values, which the second, fourth and fifth attend to. Its loss, and its gradients in
   * the input and in every weight.
   */
  function stack(wrapOf: (block: number) => Wrap): Tensor[] {
    const x = leaf([batch, tokens, width], 1);
    const tokenInfo = info();
    const weights: Tensor[] = [];
    const weight = (rows: number, columns: number) => {
      const made = leaf([rows, columns], 2 + weights.length);
      weights.push(made);
      return made;
    };
    const project = (h: Tensor, w: Tensor) => reshape(matmul(reshape(h, [-1, width]), w), [batch, tokens, -1, dim]);
    const turned = (t: Tensor) => rope(rmsNorm(t, null, { eps: 1e-6 }), tokenInfo, { theta: 100, rotatedPairs: 2 });
    const attend = (h: Tensor, k: Tensor, v: Tensor, wq: Tensor, wo: Tensor) => {
      const out = attention(turned(project(h, wq)), k, v, tokenInfo, tokenInfo, { scale: 1 });
      const mixed = reshape(matmul(reshape(out, [-1, width]), wo), h.shape);
      return add(h, gelu(mixed));
    };

    const source = (block: number, input: Tensor): Shared => {
      const [wq, wk, wv, wo] = [
        weight(width, width),
        weight(width, 2 * dim),
        weight(width, 2 * dim),
        weight(width, width),
      ];
      return wrapOf(block)((h: Tensor) => {
        const k = turned(project(h, wk));
        const v = rmsNorm(project(h, wv), null, { eps: 1e-6 });
        return { h: attend(h, k, v, wq, wo), k, v };
      })(input);
    };
    const user = (block: number, input: Tensor, { k, v }: Shared): Tensor => {
      const [wq, wo] = [weight(width, width), weight(width, width)];
      return wrapOf(block)((h: Tensor) => attend(h, k, v, wq, wo))(input);
    };
    const first = source(0, x);
    const second = source(2, user(1, first.h, first));
    const end = user(4, user(3, second.h, first), second);
    const loss = sum(mul(end, end));
    return [loss, ...gradients(loss, [x, ...weights]).map((grad) => grad!)];
  }

  it.each<[string, readonly number[]]>([
    ['those that attend', [1, 3, 4]],
    ['those that make them', [0, 2]],
    ['all', [0, 1, 2, 3, 4]],
  ])('have the same gradients where %s are computed again', async (_, again) => {
    const kept = await evaluate(
      gpu,
      stack(() => asItIs),
    );
    const found = await evaluate(
      gpu,
      stack((block) => (again.includes(block) ? checkpoint : asItIs)),
    );
    expect(kept.every((values) => values.some((v) => Math.abs(v) > 1e-4))).toBe(true);
    found.forEach((values, i) => expect(values, `value ${i}`).toEqual(kept[i]));
  });

  it('are kept for the blocks that attend to them, not made again', () => {
    const times = (again: readonly number[], name: string) => {
      const made = stack((block) => (again.includes(block) ? checkpoint : asItIs));
      return planProgram(gpu.profile, made, []).callNames.filter((each) => each === name).length;
    };
    // Queries of five blocks and keys of two; each block that is computed again turns its own.
    expect(times([], 'rope')).toBe(7 + 7);
    expect(times([1, 3, 4], 'rope')).toBe(7 + 7 + 3);
    expect(times([0, 1, 2, 3, 4], 'rope')).toBe(7 + 7 + 7);
  });
});
