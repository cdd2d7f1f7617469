import type { Gpu, MatmulPrecision } from '@lapidary/gpu';
import * as k from '@lapidary/kernels';
import type { Op, Task } from '../protocol.js';
import { hashed, toBf16 } from '../values.js';
import { Operands } from './kernel-task.js';
import { tuned } from './tuned.js';

type ProductParams = {
  readonly m: number;
  readonly k: number;
  readonly n: number;
  readonly weights: 'f32' | 'bf16';
};

async function product(
  gpu: Gpu,
  { m, k: inner, n, weights }: ProductParams,
  matmulPrecision: MatmulPrecision = 'float32',
): Promise<Task> {
  const o = new Operands(gpu);
  const a = o.make(m * inner, hashed(m * inner, 1, 1));
  const bf16 = weights === 'bf16';
  const values = hashed(inner * n, 2, 1, 8);
  const b = bf16 ? o.make(inner * n, toBf16(values), 'bf16') : o.make(inner * n, values);
  const out = o.make(m * n);
  const calls = await tuned(
    gpu,
    (profile) => k.matmul(profile, { a, b, out, m, n, k: inner, transposeB: bf16 }),
    (made) => made.flatMap(({ product: found }) => found ?? []),
    matmulPrecision,
  );
  return o.task(calls, [out]);
}

/** Single kernels, through @lapidary/kernels. */
export const kernelOps = (gpu: Gpu): Record<string, Op> => ({
  matmul: (params) => product(gpu, params as ProductParams),

  halfMatmul: (params) => product(gpu, { ...(params as ProductParams), weights: 'bf16' }, 'float16'),

  async softmax(params) {
    const { rows, dim } = params as { rows: number; dim: number };
    const o = new Operands(gpu);
    const out = o.make(rows * dim);
    return o.task(k.softmax(gpu.profile, { rows, dim, x: o.make(rows * dim, hashed(rows * dim, 1, 8)), out }), [out]);
  },

  async rmsNorm(params) {
    const { rows, dim } = params as { rows: number; dim: number };
    const o = new Operands(gpu);
    const out = o.make(rows * dim);
    const [x, weight] = [o.make(rows * dim, hashed(rows * dim, 1, 1)), o.make(dim, hashed(dim, 2, 1))];
    return o.task(k.rmsNorm(gpu.profile, { rows, dim, eps: 1e-6, weightOffset: 0, x, weight, out }), [out]);
  },

  async layerNorm(params) {
    const { rows, dim } = params as { rows: number; dim: number };
    const o = new Operands(gpu);
    const out = o.make(rows * dim);
    const x = o.make(rows * dim, hashed(rows * dim, 1, 1));
    const [weight, bias] = [o.make(dim, hashed(dim, 2, 1)), o.make(dim, hashed(dim, 3, 1))];
    return o.task(k.layerNorm(gpu.profile, { rows, dim, eps: 1e-5, x, weight, bias, out }), [out]);
  },

  async attention(params) {
    const { tokens, heads, headDim, backward } = params as {
      tokens: number;
      heads: number;
      headDim: number;
      backward: boolean;
    };
    const o = new Operands(gpu);
    const size = tokens * heads * headDim;
    const shape = { batch: 1, heads, kvHeads: heads, headDim };
    const rule = { scale: headDim ** -0.5 };
    const [q, key, v] = [1, 2, 3].map((seed) => o.make(size, hashed(size, seed, 1))) as [
      k.Operand<GPUBuffer>,
      k.Operand<GPUBuffer>,
      k.Operand<GPUBuffer>,
    ];
    const records = Int32Array.from({ length: tokens * 4 }, (_, i) => [1, i >> 2, i >> 2, 0][i & 3]!);
    const info = o.make(tokens * 4, records, 'i32');
    const [out, lse] = [o.make(size), o.make(heads * tokens)];
    const workspaceBytes = k.attentionWorkspaceBytes(gpu.profile, { ...shape, queries: tokens, keys: tokens });
    const forward = k.attentionForward(gpu.profile, {
      ...shape,
      ...rule,
      queries: tokens,
      keys: tokens,
      q,
      k: key,
      v,
      qInfo: info,
      kInfo: info,
      out,
      lse,
      ...(workspaceBytes > 0 && { workspace: o.make(workspaceBytes / 4) }),
    });
    if (!backward) return o.task(forward, [out]);
    const grads = { dq: o.make(size), dk: o.make(size), dv: o.make(size) };
    const dOut = o.make(size, new Float32Array(size).fill(1));
    const back = k.attentionBackward(gpu.profile, {
      ...shape,
      ...rule,
      ...grads,
      tokens,
      q,
      k: key,
      v,
      info,
      out,
      lse,
      dOut,
      workspace: o.make(k.attentionBackwardWorkspaceBytes(gpu.profile, { ...shape, tokens }) / 4),
    });
    return o.task([...forward, ...back], [grads.dq, grads.dk, grads.dv]);
  },
});
