import type { BenchCase, Size } from './case.js';

interface Shape {
  readonly m: number;
  readonly k: number;
  readonly n: number;
}

const cube = (n: number): Shape => ({ m: n, k: n, n });
const sizes: Record<Size, { f32: readonly Shape[]; bf16: readonly Shape[] }> = {
  small: { f32: [cube(512), cube(1024), { m: 512, k: 640, n: 2048 }], bf16: [cube(512), cube(1024)] },
  full: { f32: [cube(1024), cube(4096), { m: 4096, k: 2560, n: 10240 }], bf16: [cube(1024), cube(4096)] },
};

/** What goes in is rounded to f16, for tensor cores: beside PyTorch's f16. Other peers have none. */
const half: Record<Size, readonly Shape[]> = { small: [], full: [cube(4096)] };

/** a·b, and a·Wᵀ with official (bf16) weights; peers have no bf16 and get the same values as f32, stored as a·b wants them. */
export const matmul = (size: Size): BenchCase[] => [
  ...(['f32', 'bf16'] as const).flatMap((weights) =>
    sizes[size][weights].map(({ m, k, n }) => ({
      family: 'matmul',
      name: `${weights === 'f32' ? 'f32' : 'bf16 weights'} ${m}×${k}×${n}`,
      op: 'matmul',
      params: { m, k, n, weights },
      work: { flops: 2 * m * k * n },
      tolerance: 1e-5,
      target: weights === 'f32' ? 2.5 : 4,
    })),
  ),
  ...half[size].map(({ m, k, n }) => ({
    family: 'matmul',
    name: `f16 products ${m}×${k}×${n}`,
    op: 'halfMatmul',
    params: { m, k, n },
    work: { flops: 2 * m * k * n },
    tolerance: 5e-3,
  })),
];
