/** One step of Lion as optax has it, in double precision; `hyper` as in `LionKernelArgs`. */
export function lionReference(
  { param, m }: { readonly param: Float64Array; readonly m: Float64Array },
  grad: ArrayLike<number>,
  hyper: readonly number[],
  gradNormSquared: number,
  { rate, decay }: { readonly rate: number; readonly decay: number },
): { param: Float64Array; m: Float64Array } {
  if (!Number.isFinite(gradNormSquared)) return { param, m };
  const [lr, share1, share2, wd, clip] = hyper as [number, number, number, number, number];
  const factor = clip > 0 ? Math.min(1, clip / (Math.sqrt(gradNormSquared) + 1e-6)) : 1;
  const g = Float64Array.from(grad, (v) => v * factor);
  const step = m.map((v, i) => Math.sign((1 - share1) * v + share1 * g[i]!));
  return {
    param: param.map((p, i) => p * (1 - lr * rate * wd * decay) - lr * rate * step[i]!),
    m: m.map((v, i) => (1 - share2) * v + share2 * g[i]!),
  };
}
