import type { Op } from '../protocol.js';
import type { Tf } from './open-tfjs.js';
import { tensors, type Ten } from './tensors.js';

export const kernelOps = (tf: Tf, idle: () => Promise<void>): Record<string, Op> => {
  const { tensor, task, rmsNorm, attention, causalMask } = tensors(tf, idle);
  return {
    async matmul(params) {
      const { m, k, n, weights } = params as { m: number; k: number; n: number; weights: string };
      const a = tensor([m, k], 1, 1);
      // The same weights, put in the order that a·b wants, once.
      const b = weights === 'f32' ? tensor([k, n], 2, 1, 8) : tf.tidy(() => tensor([n, k], 2, 1, 8).transpose());
      return task(() => tf.matMul(a, b), [a, b]);
    },
    async softmax(params) {
      const { rows, dim } = params as { rows: number; dim: number };
      const x = tensor([rows, dim], 1, 8);
      return task(() => tf.softmax(x), [x]);
    },
    async rmsNorm(params) {
      const { rows, dim } = params as { rows: number; dim: number };
      const [x, w] = [tensor([rows, dim], 1, 1), tensor([dim], 2, 1)];
      return task(() => rmsNorm(x, w), [x, w]);
    },
    async layerNorm(params) {
      const { rows, dim } = params as { rows: number; dim: number };
      const [x, w, b] = [tensor([rows, dim], 1, 1), tensor([dim], 2, 1), tensor([dim], 3, 1)];
      const norm = () => {
        const { mean, variance } = tf.moments(x, -1, true);
        return x.sub(mean).mul(variance.add(1e-5).rsqrt()).mul(w).add(b);
      };
      return task(norm, [x, w, b]);
    },
    async attention(params) {
      const { tokens, heads, headDim, backward } = params as Record<'tokens' | 'heads' | 'headDim', number> & {
        backward: boolean;
      };
      const operands = [1, 2, 3].map((seed) =>
        tf.tidy(() => tensor([tokens, heads, headDim], seed, 1).transpose([1, 0, 2])),
      );
      const mask = causalMask(tokens);
      const forward = (q: Ten, k: Ten, v: Ten) => attention(q, k, v, mask, headDim);
      const grads = tf.grads((q: Ten, k: Ten, v: Ten) => forward(q, k, v).sum());
      const run = () => (backward ? grads(operands) : [forward(operands[0], operands[1], operands[2])]);
      const made = task(run, [...operands, mask]);
      // Compared in the order that others have it: tokens first.
      const ordered = task(() => run().map((t: Ten) => t.transpose([1, 0, 2])), []);
      return { ...made, result: ordered.result };
    },
  };
};
