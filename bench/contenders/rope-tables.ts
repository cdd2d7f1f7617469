import type { GemmaShape } from './gemma-weights.js';

/** Cosines and sines [tokens, headDim] of a rotary embedding: both halves of a head alike. */
export function ropeTables({ tokens, headDim }: GemmaShape, theta: number): { cos: Float32Array; sin: Float32Array } {
  const half = headDim / 2;
  const table = (f: (angle: number) => number) =>
    Float32Array.from({ length: tokens * headDim }, (_, i) => {
      const [t, d] = [Math.floor(i / headDim), i % half];
      return f(t * theta ** (-d / half));
    });
  return { cos: table(Math.cos), sin: table(Math.sin) };
}

/** The base of each layer's rotary embedding. */
export const ropeTheta = ({ globalEvery }: GemmaShape, layer: number): number =>
  (layer + 1) % globalEvery === 0 ? 1e6 : 1e4;
