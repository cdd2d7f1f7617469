import type { BenchCase, Size } from './case.js';

/** A training step of two linears with tanh-GELU between: forward, backward, SGD. */
export const mlp = (size: Size): BenchCase[] => {
  const [batch, width, inner] = size === 'small' ? [256, 640, 2048] : [4096, 2560, 10240];
  return [
    {
      family: 'mlp',
      name: `step, ${batch} rows, ${width}-${inner}-${width}, SGD`,
      op: 'mlpStep',
      params: { batch, width, inner },
      // Five products: the input needs no gradient.
      work: { flops: 5 * 2 * batch * width * inner },
      tolerance: 1e-5,
      target: 3,
    },
  ];
};
