/** Half-split rotary embedding of x [rows, heads, headDim] in float64, from given inverse frequencies [headDim / 2]. */
export function ropeReference(
  x: ArrayLike<number>,
  positions: ArrayLike<number>,
  inverseFrequencies: ArrayLike<number>,
  { rows, heads, headDim, inverse }: { rows: number; heads: number; headDim: number; inverse: boolean },
): Float64Array {
  const out = new Float64Array(rows * heads * headDim);
  const half = headDim / 2;
  for (let row = 0; row < rows; row++) {
    for (let head = 0; head < heads; head++) {
      for (let j = 0; j < half; j++) {
        // The angle is rounded to f32, as PyTorch does: at position 100000 this alone moves it by 0.004.
        const angle = Math.fround(positions[row]! * inverseFrequencies[j]!) * (inverse ? -1 : 1);
        const at = (row * heads + head) * headDim + j;
        out[at] = x[at]! * Math.cos(angle) - x[at + half]! * Math.sin(angle);
        out[at + half] = x[at + half]! * Math.cos(angle) + x[at]! * Math.sin(angle);
      }
    }
  }
  return out;
}
