export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/**
 * The largest difference of two results where both have values, relative to the first one's root mean square. Losses are
 * compared as far as both have been run.
 */
export function difference(a: readonly number[], b: readonly number[]): number {
  const n = Math.min(a.length, b.length);
  let largest = 0;
  let squares = 0;
  for (let i = 0; i < n; i++) {
    const d = Math.abs(a[i]! - b[i]!);
    // NaN is larger than everything.
    if (!(d <= largest)) largest = Number.isNaN(d) ? Infinity : d;
    squares += a[i]! ** 2;
  }
  return n === 0 ? Infinity : largest / Math.max(Math.sqrt(squares / n), Number.MIN_VALUE);
}
