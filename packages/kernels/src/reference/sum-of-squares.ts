/** Σ x² over all elements of all arrays, in double precision. */
export function sumOfSquaresReference(xs: readonly ArrayLike<number>[]): number {
  return xs.reduce((total, x) => total + Array.from(x).reduce((sum, v) => sum + v * v, 0), 0);
}
