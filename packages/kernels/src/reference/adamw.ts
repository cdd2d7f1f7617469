export interface AdamWReferenceState {
  param: Float64Array;
  m: Float64Array;
  v: Float64Array;
}

/** One step of AdamW in PyTorch's form, in double precision; `hyper` as in `AdamWKernelArgs`. */
export function adamwReference(
  { param, m, v }: AdamWReferenceState,
  grad: ArrayLike<number>,
  hyper: readonly number[],
  gradNormSquared: number,
  decayScale: number,
): AdamWReferenceState {
  if (!Number.isFinite(gradNormSquared)) return { param, m, v };
  const [lr, beta1, beta2, eps, decay, correction1, correction2, clip] = hyper as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const factor = clip > 0 ? Math.min(1, clip / (Math.sqrt(gradNormSquared) + 1e-6)) : 1;
  const newM = m.map((value, i) => beta1 * value + (1 - beta1) * grad[i]! * factor);
  const newV = v.map((value, i) => beta2 * value + (1 - beta2) * (grad[i]! * factor) ** 2);
  const newParam = param.map(
    (p, i) =>
      p * (1 - lr * decay * decayScale) -
      ((lr / correction1) * newM[i]!) / (Math.sqrt(newV[i]!) / Math.sqrt(correction2) + eps),
  );
  return { param: newParam, m: newM, v: newV };
}
