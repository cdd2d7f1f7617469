/** One step of SGD in PyTorch's form, in double precision; `hyper` as in `SgdKernelArgs`. */
export function sgdReference(
  { param, m }: { readonly param: Float64Array; readonly m: Float64Array | undefined },
  grad: ArrayLike<number>,
  hyper: readonly number[],
  gradNormSquared: number,
  nesterov: boolean,
  { rate, decay }: { readonly rate: number; readonly decay: number },
): { param: Float64Array; m: Float64Array | undefined } {
  if (!Number.isFinite(gradNormSquared)) return { param, m };
  const [lr, momentum, wd, clip] = hyper as [number, number, number, number];
  const factor = clip > 0 ? Math.min(1, clip / (Math.sqrt(gradNormSquared) + 1e-6)) : 1;
  const g = param.map((p, i) => grad[i]! * factor + wd * decay * p);
  const newM = m?.map((v, i) => momentum * v + g[i]!);
  const step = newM === undefined ? g : nesterov ? g.map((v, i) => v + momentum * newM[i]!) : newM;
  return { param: param.map((p, i) => p - lr * rate * step[i]!), m: newM };
}
