/** C = op(A)·op(B) in float64; row-major, one matrix of a batch after another. */
export function matmulReference(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  {
    m,
    n,
    k,
    batch = 1,
    transposeA = false,
    transposeB = false,
  }: { m: number; n: number; k: number; batch?: number; transposeA?: boolean; transposeB?: boolean },
): Float64Array {
  const out = new Float64Array(batch * m * n);
  for (let p = 0; p < batch; p++) {
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) {
        let sum = 0;
        for (let l = 0; l < k; l++) {
          sum +=
            a[p * m * k + (transposeA ? l * m + i : i * k + l)]! * b[p * n * k + (transposeB ? j * k + l : l * n + j)]!;
        }
        out[(p * m + i) * n + j] = sum;
      }
    }
  }
  return out;
}
