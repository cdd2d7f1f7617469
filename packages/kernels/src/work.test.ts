// What kernels say that they take, against counting by hand.
import { baselineProfile } from '@lapidary/gpu';
import { describe, expect, it } from 'vitest';
import { adamw } from './optimizer/adamw.js';
import { attentionBackward } from './attention/attention-backward.js';
import { attentionForward } from './attention/attention-forward.js';
import { crossEntropyChunkBackward } from './loss/cross-entropy.js';
import { byteLength, type DType } from './dtype.js';
import { elementwise } from './elementwise/elementwise.js';
import { embeddingGather, embeddingScatterAdd } from './embedding/embedding.js';
import { workOf, type KernelCall, type Operand, type Work } from './kernel-call.js';
import { matmul } from './matmul/matmul.js';
import type { MatmulArgs } from './matmul/matmul-args.js';
import { rmsNorm } from './norm/rms-norm.js';
import { scatterRows } from './copy/scatter-rows.js';
import { stridedCopy } from './copy/strided-copy.js';

const operand = (buffer: string, dtype: DType = 'f32'): Operand<string> => ({ buffer, offset: 0, dtype });
const total = (calls: readonly KernelCall<string>[]): Work => ({
  flops: calls.reduce((sum, call) => sum + workOf(call).flops, 0),
  bytes: calls.reduce((sum, call) => sum + workOf(call).bytes, 0),
});
const small = (maxStorageBufferBindingSize: number) => ({
  ...baselineProfile,
  limits: { ...baselineProfile.limits, maxStorageBufferBindingSize },
});

describe('matmul', () => {
  const [m, n, k] = [24, 40, 64];
  const args = { a: operand('a'), b: operand('b'), out: operand('out'), m, n, k, transposeB: true };
  const work = (rest: Partial<MatmulArgs<string>> = {}, profile = baselineProfile) =>
    total(matmul(profile, { ...args, ...rest }));
  const bytes = (m * k + n * k + m * n) * 4;

  it('2·m·n·k, and each operand once', () => {
    expect(work()).toEqual({ flops: 2 * m * n * k, bytes });
    expect(work({ b: operand('b', 'bf16') }).bytes).toBe(bytes - n * k * 2);
    expect(work({ b: operand('b', 'q8_0') }).bytes).toBe(bytes - n * k * 4 + byteLength('q8_0', n * k));
    expect(work({ batch: 3 })).toEqual({ flops: 3 * 2 * m * n * k, bytes: 3 * bytes });
    expect(work({ residual: operand('r'), bias: operand('bias') }).bytes).toBe(bytes + m * n * 4 + n * 4);
  });

  it('what it adds to is read too; of a wider result only its columns count', () => {
    expect(work({ accumulate: true }).bytes).toBe(bytes + m * n * 4);
    expect(work({ outRowStride: 1000 }).bytes).toBe(bytes);
  });

  it('in windows as many flops as whole', () => {
    const calls = matmul(small(8192), args);
    expect(calls.length).toBeGreaterThan(1);
    expect(total(calls).flops).toBe(2 * m * n * k);
  });
});

describe('attention', () => {
  const sizes = { batch: 2, heads: 4, kvHeads: 2, headDim: 8, scale: 1 };
  const forward = (queries: number, keys: number, window?: number, profile = baselineProfile) =>
    attentionForward(profile, {
      ...sizes,
      ...(window !== undefined && { window }),
      queries,
      keys,
      q: operand('q'),
      k: operand('k'),
      v: operand('v'),
      qInfo: operand('qInfo', 'i32'),
      kInfo: operand('kInfo', 'i32'),
      out: operand('out'),
      lse: operand('lse'),
    });
  /** So many products of every query, in each of 2 rows and 4 heads, with `keys` keys of 8 values. */
  const flops = (products: number, queries: number, keys: number) => products * 2 * (2 * 4) * queries * keys * 8;

  it('forward: scores and weighted values, of all pairs', () => {
    expect(total(forward(6, 10)).flops).toBe(flops(2, 6, 10));
    expect(workOf(forward(6, 10)[0]!).bytes).toBe(
      4 * (2 * 2 * 6 * 4 * 8 + 2 * 2 * 10 * 2 * 8 + 2 * (6 + 10) * 4 + 2 * 4 * 6),
    );
  });

  it('a window leaves those within it', () => {
    expect(total(forward(100, 100, 8)).flops).toBe(flops(2, 100, 15));
    expect(total(forward(100, 100, 0)).flops).toBe(flops(2, 100, 100));
    expect(total(forward(4, 4, 8)).flops).toBe(flops(2, 4, 4));
  });

  it('in runs of batch rows as many as whole', () => {
    const runs = forward(16, 16, undefined, small(16 * 4 * 8 * 4));
    expect(runs).toHaveLength(2);
    expect(total(runs).flops).toBe(flops(2, 16, 16));
  });

  it('backward: scores and the weights’ gradient in both passes, and the gradients of q, k and v', () => {
    const calls = attentionBackward(baselineProfile, {
      ...sizes,
      tokens: 12,
      q: operand('q'),
      k: operand('k'),
      v: operand('v'),
      info: operand('info', 'i32'),
      out: operand('out'),
      lse: operand('lse'),
      dOut: operand('dOut'),
      workspace: operand('workspace'),
      dq: operand('dq'),
      dk: operand('dk'),
      dv: operand('dv'),
    });
    const names = calls.map(({ shader }) => shader.replace('_tiled', ''));
    expect(names).toEqual(['attention/row_stats', 'attention/backward_kv', 'attention/backward_q']);
    expect(calls.map((call) => workOf(call).flops)).toEqual([0, flops(4, 12, 12), flops(3, 12, 12)]);
  });
});

describe('bytes', () => {
  const p = baselineProfile;
  it('are those bound, where a kernel says nothing else', () => {
    const args = {
      rows: 5,
      dim: 8,
      eps: 1e-6,
      weightOffset: 0,
      x: operand('x'),
      weight: operand('w'),
      out: operand('o'),
    };
    expect(total(rmsNorm(p, args))).toEqual({ flops: 0, bytes: (5 * 8 * 2 + 8) * 4 });
  });

  it('of a table are those of the rows that are used', () => {
    const shape = { rows: 6, dim: 16, vocab: 1000, scale: 1, ids: operand('ids', 'i32') };
    const gather = { ...shape, table: operand('table', 'bf16'), out: operand('out') };
    expect(total(embeddingGather(p, gather)).bytes).toBe(6 * (4 + 16 * 2 + 16 * 4));
    const windows = embeddingGather(small(8192), gather);
    expect(windows.length).toBeGreaterThan(1);
    expect(total(windows).bytes).toBeCloseTo(6 * (4 * windows.length + 16 * 2 + 16 * 4), 6);
    const add = { ...shape, dOut: operand('dOut'), dTable: operand('dTable') };
    expect(total(embeddingScatterAdd(p, add)).bytes).toBe(6 * (4 + 16 * 4 * 3));
    const rows = {
      ids: operand('ids', 'i32'),
      rows: operand('rows'),
      out: operand('out'),
      count: 6,
      dim: 16,
      outRows: 99,
    };
    expect(total(scatterRows(p, rows)).bytes).toBe(6 * (4 + 16 * 4 * 2));
  });

  it('count twice what is updated in place', () => {
    const n = 64;
    const state = { param: operand('p'), grad: operand('g'), m: operand('m'), v: operand('v') };
    const rest = { hyper: operand('h'), gradNormSquared: operand('s'), n, weightDecayScale: 1 };
    expect(total(adamw(p, { ...state, ...rest })).bytes).toBe(7 * n * 4);
    const add = (out: string) =>
      elementwise(p, {
        shape: [n],
        inputs: ['x', 'y'].map((name) => ({ operand: operand(name), strides: [1] })),
        steps: [{ op: 'add', args: [0, 1] }],
        outputs: [{ operand: operand(out), value: 2 }],
      });
    expect(total(add('out')).bytes).toBe(3 * n * 4);
    expect(total(add('x')).bytes).toBe(3 * n * 4);
    const chunk = { chunkStart: 0, chunkSize: 20, rowStride: 32, rows: 5, softcap: 0 };
    const operands = { logits: operand('l'), targets: operand('t', 'i32'), lse: operand('lse'), dLoss: operand('d') };
    expect(total(crossEntropyChunkBackward(p, { ...chunk, ...operands })).bytes).toBe(5 * (20 * 8 + 3 * 4));
  });

  it('of a slice are those of what it takes, of what is repeated those of the one', () => {
    const copy = (shape: number[], inStrides: number[], outStrides: number[]) =>
      total(
        stridedCopy(p, { x: operand('x'), out: operand('o'), shape, inStrides, outStrides, inOffset: 0, outOffset: 0 }),
      );
    expect(copy([10, 4], [1000, 1], [4, 1]).bytes).toBe(2 * 40 * 4);
    expect(copy([10, 4], [0, 1], [4, 1]).bytes).toBe(4 * 4 + 40 * 4);
  });
});
