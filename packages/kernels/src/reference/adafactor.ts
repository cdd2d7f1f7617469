export interface AdafactorReferenceState {
  readonly param: Float64Array;
  /** [batch, rows] and [batch, columns]; of a vector [n] and nothing. */
  readonly first: Float64Array;
  readonly second: Float64Array | undefined;
}

/** One step of Adafactor in PyTorch's form, in double precision; `hyper` as in `AdafactorKernelArgs`. A vector: rows 1, no `second`. */
export function adafactorReference(
  { param, first, second }: AdafactorReferenceState,
  grad: ArrayLike<number>,
  { batch, rows, columns }: { readonly batch: number; readonly rows: number; readonly columns: number },
  hyper: readonly number[],
  gradNormSquared: number,
  { rate, decay }: { readonly rate: number; readonly decay: number },
): AdafactorReferenceState {
  if (!Number.isFinite(gradNormSquared)) return { param, first, second };
  const [lr, share, inverseRoot, eps1, eps2, d, wd, clip] = hyper as [
    ...[number, number, number, number],
    ...[number, number, number, number],
  ];
  const factor = clip > 0 ? Math.min(1, clip / (Math.sqrt(gradNormSquared) + 1e-6)) : 1;
  const g = Float64Array.from(grad, (v) => v * factor);
  const n = g.length;
  const rms = (values: Float64Array) => Math.sqrt(values.reduce((sum, v) => sum + v * v, 0) / n);
  const moved = (before: Float64Array, to: (i: number) => number) =>
    before.map((v, i) => (1 - share) * v + share * to(i));
  const sum = (count: number, of: (i: number) => number) =>
    Array.from({ length: count }, (_, i) => of(i)).reduce((a, b) => a + b, 0);
  let newFirst: Float64Array;
  let newSecond: Float64Array | undefined;
  let moment: (i: number) => number;
  if (second) {
    const row = moved(first, (r) => sum(columns, (c) => g[r * columns + c]! ** 2) / columns);
    const col = moved(second, (i) => {
      const [b, c] = [Math.floor(i / columns), i % columns];
      return sum(rows, (r) => g[(b * rows + r) * columns + c]! ** 2) / rows;
    });
    const means = Array.from({ length: batch }, (_, b) => sum(rows, (r) => row[b * rows + r]!) / rows);
    moment = (i) => {
      const r = Math.floor(i / columns);
      const b = Math.floor(r / rows);
      return (row[r]! * col[b * columns + (i % columns)]!) / Math.max(means[b]!, eps1);
    };
    [newFirst, newSecond] = [row, col];
  } else {
    newFirst = moved(first, (i) => g[i]! ** 2);
    moment = (i) => newFirst[i]!;
  }
  const u = g.map((v, i) => v / Math.sqrt(Math.max(moment(i), eps1 ** 2)));
  const scale = (Math.max(eps2, rms(param)) * Math.min(lr * rate, inverseRoot)) / Math.max(1, rms(u) / d);
  const newParam = param.map((p, i) => p * (1 - lr * rate * wd * decay) - scale * u[i]!);
  return { param: newParam, first: newFirst, second: newSecond };
}
