/** Step and value. */
export type Point = readonly [x: number, y: number];

/** At most about `most` points of a curve that look the same: the smallest and the largest of each stretch. */
export function thin(points: readonly Point[], most: number): readonly Point[] {
  if (points.length <= most) return points;
  const stretch = points.length / (most / 2);
  const kept: Point[] = [];
  for (let start = 0; start < points.length; start += stretch) {
    const part = points.slice(Math.floor(start), Math.floor(start + stretch));
    if (part.length === 0) continue;
    const low = part.reduce((a, b) => (b[1] < a[1] ? b : a));
    const high = part.reduce((a, b) => (b[1] > a[1] ? b : a));
    kept.push(...[low, high].sort((a, b) => a[0] - b[0]).slice(0, low === high ? 1 : 2));
  }
  return kept[kept.length - 1] === points[points.length - 1] ? kept : [...kept, points[points.length - 1]!];
}

/** A running mean over about `window` points; at the ends over fewer, so that it does not lag behind a falling curve. */
export function smooth(points: readonly Point[], window: number): readonly Point[] {
  const half = Math.floor(window / 2);
  let sum = 0;
  const sums = [0, ...points.map(([, y]) => (sum += y))];
  return points.map(([x], index) => {
    const reach = Math.max(Math.ceil(half / 2), Math.min(half, index, points.length - 1 - index));
    const [from, to] = [Math.max(0, index - reach), Math.min(points.length, index + reach + 1)];
    return [x, (sums[to]! - sums[from]!) / (to - from)];
  });
}

/** A curve by step as its running mean over a twelfth of it; as it is where that is too few. */
export function smoothed(points: readonly Point[]): readonly Point[] {
  const window = Math.min(101, Math.floor(points.length / 12));
  return window >= 3 ? smooth(points, window) : points;
}
