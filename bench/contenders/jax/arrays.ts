import type { Task } from '../protocol.js';
import { hashed, sample } from '../values.js';
import type { Jax } from './open-jax.js';

const sizeOf = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);

export const arrays = (jax: Jax) => {
  const { numpy: np, jit, blockUntilReady, tree } = jax;
  const dispose = (x: unknown) => tree.leaves(x).forEach((leaf: { dispose(): void }) => leaf.dispose());
  const array = (shape: readonly number[], seed: number, scale: number, bits?: number) =>
    np.array(hashed(sizeOf(shape), seed, scale, bits)).reshape(shape);
  return {
    array,
    dispose,

    /** A function of arrays, compiled, as a task; its result is a sample of each array that it gives. */
    task(fn: (...args: unknown[]) => unknown, args: readonly { ref: unknown; dispose(): void }[]): Task {
      const compiled = jit(fn);
      const call = () => compiled(...args.map((a) => a.ref));
      return {
        async run() {
          const out = call();
          await blockUntilReady(out);
          dispose(out);
        },
        async result() {
          const out = call();
          const parts: number[] = [];
          for (const leaf of tree.leaves(out)) parts.push(...sample(await leaf.data()));
          return parts;
        },
        drop: () => args.forEach((a) => a.dispose()),
      };
    },

    /** x · rsqrt(mean(x²) + eps) · weight; uses up both. */
    // biome-ignore lint/suspicious/noExplicitAny: the peer has no types here
    rmsNorm: (x: any, weight: any) =>
      x.ref.mul(np.reciprocal(np.sqrt(np.mean(np.square(x), -1, { keepdims: true }).add(1e-6)))).mul(weight),
  };
};

// biome-ignore lint/suspicious/noExplicitAny: the peer has no types here
export type Arr = any;
