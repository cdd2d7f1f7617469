type Values = ArrayLike<number>;

interface Shape {
  rows: number;
  dim: number;
  eps: number;
  weightOffset: number;
}

function reciprocalRms(x: Values, row: number, { dim, eps }: { dim: number; eps: number }): number {
  let squares = 0;
  for (let j = 0; j < dim; j++) squares += x[row * dim + j]! ** 2;
  return 1 / Math.sqrt(squares / dim + eps);
}

/** y = x · rsqrt(mean(x²) + eps) · (w + offset), in float64. */
export function rmsNormReference(x: Values, weight: Values, shape: Shape): Float64Array {
  const { rows, dim, weightOffset } = shape;
  const out = new Float64Array(rows * dim);
  for (let row = 0; row < rows; row++) {
    const r = reciprocalRms(x, row, shape);
    for (let j = 0; j < dim; j++) out[row * dim + j] = x[row * dim + j]! * r * (weight[j]! + weightOffset);
  }
  return out;
}

/** The gradients with respect to x and w. */
export function rmsNormBackwardReference(
  x: Values,
  weight: Values,
  dOut: Values,
  shape: Shape,
): { dX: Float64Array; dWeight: Float64Array } {
  const { rows, dim, weightOffset } = shape;
  const dX = new Float64Array(rows * dim);
  const dWeight = new Float64Array(dim);
  for (let row = 0; row < rows; row++) {
    const r = reciprocalRms(x, row, shape);
    let dot = 0;
    for (let j = 0; j < dim; j++) {
      const at = row * dim + j;
      dot += dOut[at]! * (weight[j]! + weightOffset) * x[at]!;
      dWeight[j]! += dOut[at]! * x[at]! * r;
    }
    for (let j = 0; j < dim; j++) {
      const at = row * dim + j;
      dX[at] = r * dOut[at]! * (weight[j]! + weightOffset) - (r ** 3 * x[at]! * dot) / dim;
    }
  }
  return { dX, dWeight };
}
