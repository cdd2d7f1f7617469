/** Copies `shape` elements with strides and offsets on both sides into `out`. */
export function stridedCopyReference(
  x: ArrayLike<number>,
  out: { [index: number]: number },
  {
    shape,
    inStrides,
    inOffset,
    outStrides,
    outOffset,
  }: {
    shape: readonly number[];
    inStrides: readonly number[];
    inOffset: number;
    outStrides: readonly number[];
    outOffset: number;
  },
): void {
  const walk = (axis: number, source: number, goal: number): void => {
    if (axis === shape.length) {
      out[goal] = x[source]!;
      return;
    }
    for (let i = 0; i < shape[axis]!; i++) walk(axis + 1, source + i * inStrides[axis]!, goal + i * outStrides[axis]!);
  };
  walk(0, inOffset, outOffset);
}
