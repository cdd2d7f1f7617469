type Values = ArrayLike<number>;

interface Shape {
  rows: number;
  dim: number;
  eps: number;
}

function statistics(x: Values, row: number, { dim, eps }: Shape): { mean: number; rstd: number } {
  let mean = 0;
  for (let j = 0; j < dim; j++) mean += x[row * dim + j]! / dim;
  let variance = 0;
  for (let j = 0; j < dim; j++) variance += (x[row * dim + j]! - mean) ** 2 / dim;
  return { mean, rstd: 1 / Math.sqrt(variance + eps) };
}

/** y = (x − mean) / √(var + eps) · w + b, in float64. */
export function layerNormReference(x: Values, weight: Values, bias: Values, shape: Shape): Float64Array {
  const { rows, dim } = shape;
  const out = new Float64Array(rows * dim);
  for (let row = 0; row < rows; row++) {
    const { mean, rstd } = statistics(x, row, shape);
    for (let j = 0; j < dim; j++) out[row * dim + j] = (x[row * dim + j]! - mean) * rstd * weight[j]! + bias[j]!;
  }
  return out;
}

/** The gradients with respect to x, w and b. */
export function layerNormBackwardReference(
  x: Values,
  weight: Values,
  dOut: Values,
  shape: Shape,
): { dX: Float64Array; dWeight: Float64Array; dBias: Float64Array } {
  const { rows, dim } = shape;
  const dX = new Float64Array(rows * dim);
  const dWeight = new Float64Array(dim);
  const dBias = new Float64Array(dim);
  for (let row = 0; row < rows; row++) {
    const { mean, rstd } = statistics(x, row, shape);
    let meanG = 0;
    let meanGx = 0;
    for (let j = 0; j < dim; j++) {
      const normal = (x[row * dim + j]! - mean) * rstd;
      const g = dOut[row * dim + j]! * weight[j]!;
      meanG += g / dim;
      meanGx += (g * normal) / dim;
      dWeight[j]! += dOut[row * dim + j]! * normal;
      dBias[j]! += dOut[row * dim + j]!;
    }
    for (let j = 0; j < dim; j++) {
      const normal = (x[row * dim + j]! - mean) * rstd;
      dX[row * dim + j] = rstd * (dOut[row * dim + j]! * weight[j]! - meanG - normal * meanGx);
    }
  }
  return { dX, dWeight, dBias };
}
