import type { Operand } from '../kernel-call.js';
import type { MatmulVariant } from './matmul-variant-names.js';

/** Operands and sizes of `matmul`: C [M, N] of A [M, K] and B [K, N], once or in a batch. */
export interface MatmulArgs<B> {
  /** f32, [batch, M, K] or, with `transposeA`, [batch, K, M]. */
  readonly a: Operand<B>;
  /** Any storage type, [batch, K, N] or, with `transposeB`, [batch, N, K] (how linear weights lie: [out, in]). */
  readonly b: Operand<B>;
  /** f32 [batch, M, N]. */
  readonly out: Operand<B>;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  /** Default 1. */
  readonly batch?: number;
  /** Elements from one matrix of the batch to the next; 0 repeats one. Default: the matrix's size. */
  readonly batchStrides?: { readonly a?: number; readonly b?: number; readonly out?: number };
  /** Row-to-row distance of `out` in elements, when it is a column window of something wider. Default n. */
  readonly outRowStride?: number;
  /** First row of B (in its memory order) to use, for windows of a larger matrix. Default 0. */
  readonly bFirstRow?: number;
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
  /** Normalises A first. One row of A only (M = 1), B transposed, no batch, bias or residual: a token on its way through a layer. */
  readonly norm?: MatmulNorm<B>;
  /** Multiplies the product. Default 1. */
  readonly alpha?: number;
  /** f32 [N], added after alpha. */
  readonly bias?: Operand<B>;
  readonly activation?: 'gelu' | 'silu';
  /** f32 [batch, M, N], added last. */
  readonly residual?: Operand<B>;
  /** Adds to what `out` holds instead of overwriting it. */
  readonly accumulate?: boolean;
  /** Default: what this device is fast with. */
  readonly variant?: MatmulVariant;
  /** Gives scratch memory of so many bytes. Without it no product's K is shared out among workgroups (`split`). */
  readonly workspace?: (bytes: number) => Operand<B>;
}

/** What `rmsNorm` does to a row of A: A · rsqrt(mean(A²) + eps) · (weight + weightOffset). */
export interface MatmulNorm<B> {
  /** f32, f16 or bf16 [K]. */
  readonly weight: Operand<B>;
  readonly eps: number;
  readonly weightOffset: number;
}
