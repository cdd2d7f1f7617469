import type { AttentionRule, AttentionShape } from '../attention/attention-plan.js';

/** Float64 attention, straight from the formulas; for tests and `checkKernels`. Arrays as the kernels lay them out. */
export interface AttentionInput extends AttentionShape, AttentionRule {
  readonly q: ArrayLike<number>;
  readonly k: ArrayLike<number>;
  readonly v: ArrayLike<number>;
  readonly qInfo: ArrayLike<number>;
  readonly kInfo: ArrayLike<number>;
}

/** Whether the query with record `q` sees the key with record `k`. */
export function sees(
  q: ArrayLike<number>,
  k: ArrayLike<number>,
  { window = 0, seesAhead = false }: Pick<AttentionRule, 'window' | 'seesAhead'> = {},
): boolean {
  const distance = q[2]! - k[2]!;
  const isNear = window === 0 || (seesAhead ? distance : Math.abs(distance)) < window;
  return k[0] !== 0 && k[0] === q[0] && k[1]! <= q[1]! && isNear;
}

/** Calls `visit` for every query head row: its offset in q, the softmax over the keys it sees, and d(capped)/d(uncapped). */
function eachRow(
  a: AttentionInput,
  visit: (row: {
    b: number;
    t: number;
    h: number;
    at: number;
    keys: number[];
    p: number[];
    slope: number[];
    lse: number;
  }) => void,
): void {
  const { batch, queries, keys, heads, kvHeads, headDim, scale, softcap = 0 } = a;
  for (let b = 0; b < batch; b++) {
    for (let t = 0; t < queries; t++) {
      const record = Array.from({ length: 4 }, (_, i) => a.qInfo[(b * queries + t) * 4 + i]!);
      const seen: number[] = [];
      for (let j = 0; j < keys; j++) {
        if (
          sees(
            record,
            Array.from({ length: 4 }, (_, i) => a.kInfo[(b * keys + j) * 4 + i]!),
            a,
          )
        )
          seen.push(j);
      }
      for (let h = 0; h < heads; h++) {
        const at = ((b * queries + t) * heads + h) * headDim;
        const offsets = seen.map((j) => ((b * keys + j) * kvHeads + Math.floor(h / (heads / kvHeads))) * headDim);
        const slope: number[] = [];
        const scores = offsets.map((o) => {
          let s = 0;
          for (let d = 0; d < headDim; d++) s += a.q[at + d]! * a.k[o + d]!;
          const x = s * scale;
          const tanh = softcap ? Math.tanh(x / softcap) : 0;
          slope.push(softcap ? 1 - tanh * tanh : 1);
          return softcap ? softcap * tanh : x;
        });
        const top = Math.max(...scores);
        const exps = scores.map((s) => Math.exp(s - top));
        const sum = exps.reduce((x, y) => x + y, 0);
        visit({
          b,
          t,
          h,
          at,
          keys: offsets,
          p: exps.map((e) => e / sum),
          slope,
          lse: seen.length ? top + Math.log(sum) : 0,
        });
      }
    }
  }
}

export function referenceAttention(a: AttentionInput): { out: Float64Array; lse: Float64Array } {
  const out = new Float64Array(a.batch * a.queries * a.heads * a.headDim);
  const lse = new Float64Array(a.batch * a.heads * a.queries);
  eachRow(a, ({ b, t, h, at, keys, p, lse: value }) => {
    lse[(b * a.heads + h) * a.queries + t] = value;
    keys.forEach((o, i) => {
      for (let d = 0; d < a.headDim; d++) out[at + d]! += p[i]! * a.v[o + d]!;
    });
  });
  return { out, lse };
}

export function referenceAttentionBackward(
  a: AttentionInput,
  dOut: ArrayLike<number>,
): { dq: Float64Array; dk: Float64Array; dv: Float64Array } {
  const dq = new Float64Array(a.q.length);
  const dk = new Float64Array(a.k.length);
  const dv = new Float64Array(a.v.length);
  eachRow(a, ({ at, keys, p, slope }) => {
    const dp = keys.map((o) => {
      let s = 0;
      for (let d = 0; d < a.headDim; d++) s += dOut[at + d]! * a.v[o + d]!;
      return s;
    });
    const delta = dp.reduce((s, x, i) => s + x * p[i]!, 0);
    keys.forEach((o, i) => {
      const ds = p[i]! * (dp[i]! - delta) * slope[i]! * a.scale;
      for (let d = 0; d < a.headDim; d++) {
        dq[at + d]! += ds * a.k[o + d]!;
        dk[o + d]! += ds * a.q[at + d]!;
        dv[o + d]! += p[i]! * dOut[at + d]!;
      }
    });
  });
  return { dq, dk, dv };
}
