import type { BenchCase, Size } from './case.js';

/** Causal attention; `backward`: with the gradients of the sum of its results. */
export const attention = (size: Size): BenchCase[] => {
  const tokens = size === 'small' ? 256 : 2048;
  const heads = 4;
  // Pairs of a token and one that it sees.
  const pairs = (tokens * (tokens + 1)) / 2;
  return [64, 256].flatMap((headDim) =>
    [false, true].map((backward) => ({
      family: 'attention',
      name: `${backward ? 'forward + backward' : 'forward'}, ${tokens} tokens, ${heads} heads of ${headDim}`,
      op: 'attention',
      params: { tokens, heads, headDim, backward },
      work: { flops: (backward ? 14 : 4) * pairs * heads * headDim },
      tolerance: 1e-4,
      ...(backward && { target: 3 }),
    })),
  );
};
