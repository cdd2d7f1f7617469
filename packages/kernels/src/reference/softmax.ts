type Values = ArrayLike<number>;

/** Softmax of each row of x [rows, dim], in float64. */
export function softmaxReference(x: Values, rows: number, dim: number): Float64Array {
  const out = new Float64Array(rows * dim);
  for (let row = 0; row < rows; row++) {
    let top = -Infinity;
    for (let j = 0; j < dim; j++) top = Math.max(top, x[row * dim + j]!);
    let total = 0;
    for (let j = 0; j < dim; j++) total += Math.exp(x[row * dim + j]! - top);
    for (let j = 0; j < dim; j++) out[row * dim + j] = Math.exp(x[row * dim + j]! - top) / total;
  }
  return out;
}

/** dx = y · (dy − Σ y·dy), row by row. */
export function softmaxBackwardReference(y: Values, dOut: Values, rows: number, dim: number): Float64Array {
  const dX = new Float64Array(rows * dim);
  for (let row = 0; row < rows; row++) {
    let dot = 0;
    for (let j = 0; j < dim; j++) dot += y[row * dim + j]! * dOut[row * dim + j]!;
    for (let j = 0; j < dim; j++) dX[row * dim + j] = y[row * dim + j]! * (dOut[row * dim + j]! - dot);
  }
  return dX;
}
