import type { Task } from '../protocol.js';
import { hashed, sample } from '../values.js';
import type { Tf } from './open-tfjs.js';

// biome-ignore lint/suspicious/noExplicitAny: the peer has no types here
export type Ten = any;

const sizeOf = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);

export const tensors = (tf: Tf, idle: () => Promise<void>) => ({
  tensor: (shape: readonly number[], seed: number, scale: number, bits?: number): Ten =>
    tf.tensor(hashed(sizeOf(shape), seed, scale, bits), shape),

  /** A function as a task; its result is a sample of each tensor that it gives. */
  task(fn: () => Ten | Ten[], operands: readonly Ten[]): Task {
    return {
      async run() {
        const out = tf.tidy(fn);
        await idle();
        tf.dispose(out);
      },
      async result() {
        const out = [tf.tidy(fn)].flat();
        const parts: number[] = [];
        for (const t of out) parts.push(...sample(await t.data()));
        tf.dispose(out);
        return parts;
      },
      drop: () => tf.dispose(operands),
    };
  },

  /** Training steps; `step` gives the loss. */
  stepTask(step: () => Ten, operands: readonly Ten[]): Task {
    const losses: number[] = [];
    return {
      async run() {
        const loss = step();
        losses.push((await loss.data())[0]);
        loss.dispose();
      },
      result: async () => losses,
      drop: () => tf.dispose(operands),
    };
  },

  rmsNorm: (x: Ten, weight: Ten): Ten => x.mul(x.square().mean(-1, true).add(1e-6).rsqrt()).mul(weight),

  gelu: (x: Ten): Ten =>
    x.mul(0.5).mul(
      x
        .add(x.square().mul(x).mul(0.044715))
        .mul(Math.sqrt(2 / Math.PI))
        .tanh()
        .add(1),
    ),

  /** Of q, k and v as matrices of a head each, [heads, tokens, headDim]. */
  attention: (q: Ten, k: Ten, v: Ten, mask: Ten, headDim: number): Ten =>
    tf.matMul(
      tf.softmax(
        tf
          .matMul(q, k, false, true)
          .mul(headDim ** -0.5)
          .add(mask),
      ),
      v,
    ),

  causalMask: (tokens: number): Ten =>
    tf.tensor(
      Float32Array.from({ length: tokens * tokens }, (_, i) => (i % tokens > Math.floor(i / tokens) ? -1e9 : 0)),
      [tokens, tokens],
    ),
});
