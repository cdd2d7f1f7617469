/** x [outer, length, inner] reduced over its middle axis, in double precision. */
export function reduceReference(
  x: ArrayLike<number>,
  { outer, length, inner, op }: { outer: number; length: number; inner: number; op: 'sum' | 'mean' | 'max' | 'min' },
): Float64Array {
  return Float64Array.from({ length: outer * inner }, (_, r) => {
    const at = (l: number) => x[(Math.floor(r / inner) * length + l) * inner + (r % inner)]!;
    let result = at(0);
    for (let l = 1; l < length; l++) {
      result = op === 'max' ? Math.max(result, at(l)) : op === 'min' ? Math.min(result, at(l)) : result + at(l);
    }
    return op === 'mean' ? result / length : result;
  });
}
