import type { Op } from '../protocol.js';
import { arrays, type Arr } from './arrays.js';
import type { Jax } from './open-jax.js';

export const kernelOps = (jax: Jax): Record<string, Op> => {
  const { numpy: np, nn, grad } = jax;
  const { array, task, rmsNorm } = arrays(jax);
  return {
    async matmul(params) {
      const { m, k, n, weights } = params as { m: number; k: number; n: number; weights: string };
      const a = array([m, k], 1, 1);
      if (weights === 'f32') return task((x, y) => np.matmul(x, y), [a, array([k, n], 2, 1, 8)]);
      // The same weights, put in the order that a·b wants, once.
      const b = np.transpose(array([n, k], 2, 1, 8));
      const data = await b.data();
      return task((x, y) => np.matmul(x, y), [a, np.array(data).reshape([k, n])]);
    },
    async softmax(params) {
      const { rows, dim } = params as { rows: number; dim: number };
      return task((x) => nn.softmax(x), [array([rows, dim], 1, 8)]);
    },
    async rmsNorm(params) {
      const { rows, dim } = params as { rows: number; dim: number };
      return task((x, w) => rmsNorm(x, w), [array([rows, dim], 1, 1), array([dim], 2, 1)]);
    },
    async layerNorm(params) {
      const { rows, dim } = params as { rows: number; dim: number };
      const operands = [array([rows, dim], 1, 1), array([dim], 2, 1), array([dim], 3, 1)];
      return task((x, w, b) => nn.standardize(x, -1).mul(w).add(b), operands);
    },
    async attention(params) {
      const { tokens, heads, headDim, backward } = params as Record<'tokens' | 'heads' | 'headDim', number> & {
        backward: boolean;
      };
      const operands = [1, 2, 3].map((seed) => array([1, tokens, heads, headDim], seed, 1));
      const forward = (q: Arr, k: Arr, v: Arr) => nn.dotProductAttention(q, k, v, { isCausal: true });
      if (!backward) return task(forward as (...args: unknown[]) => unknown, operands);
      const sum = (q: Arr, k: Arr, v: Arr) => forward(q, k, v).sum();
      return task(grad(sum, { argnums: [0, 1, 2] }), operands);
    },
  };
};
