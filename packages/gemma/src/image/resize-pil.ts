import type { RgbImage } from './rgb-image.js';

interface Filter {
  /** Beyond this distance, in input pixels, the weight is 0. */
  readonly support: number;
  readonly weight: (distance: number) => number;
}

/** A triangle. */
const bilinear: Filter = { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) };

/** Keys' cubic convolution (IEEE ASSP 29, 1981) with a = −0.5. */
const bicubic: Filter = {
  support: 2,
  weight(x) {
    const a = -0.5;
    const d = Math.abs(x);
    if (d < 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
    return d < 2 ? (((d - 5) * d + 8) * d - 4) * a : 0;
  },
};

const filters = { 'pil-bilinear': bilinear, 'pil-bicubic': bicubic } as const;
export type PilResizeMethod = keyof typeof filters;

/** Bits behind the point of a weight: of 32, 8 are the pixel's, and 2 are room for overshoot and sign. */
const PRECISION_BITS = 32 - 8 - 2;

/** Which inputs an output is made of: weights[at·size …] for inputs from first[at], as many as count[at]. */
interface Taps {
  readonly size: number;
  readonly first: Int32Array;
  readonly count: Int32Array;
  readonly weights: Int32Array;
}

/** The filter, widened by the scale when shrinking, at each output's centre; weights sum to 1 and are then rounded. */
function tapsOf(from: number, to: number, { support, weight }: Filter): Taps {
  const scale = from / to;
  const stretch = Math.max(scale, 1);
  const radius = support * stretch;
  const size = Math.ceil(radius) * 2 + 1;
  const taps = {
    size,
    first: new Int32Array(to),
    count: new Int32Array(to),
    weights: new Int32Array(to * size),
  };
  const exact = new Float64Array(size);
  for (let at = 0; at < to; at++) {
    const center = (at + 0.5) * scale;
    const first = Math.max(0, Math.trunc(center - radius + 0.5));
    const count = Math.min(from, Math.trunc(center + radius + 0.5)) - first;
    let sum = 0;
    for (let i = 0; i < count; i++) {
      exact[i] = weight((i + first - center + 0.5) * (1 / stretch));
      sum += exact[i]!;
    }
    taps.first[at] = first;
    taps.count[at] = count;
    for (let i = 0; i < count; i++) {
      const fixed = (sum === 0 ? exact[i]! : exact[i]! / sum) * (1 << PRECISION_BITS);
      // Halves away from zero.
      taps.weights[at * size + i] = Math.trunc(fixed + (fixed < 0 ? -0.5 : 0.5));
    }
  }
  return taps;
}

function round8(sum: number): number {
  return Math.min(255, Math.max(0, (sum + (1 << (PRECISION_BITS - 1))) >> PRECISION_BITS));
}

function resizeRows({ data, width, height }: RgbImage, to: number, filter: Filter): RgbImage {
  const { size, first, count, weights } = tapsOf(width, to, filter);
  const out = new Uint8Array(to * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < to; x++) {
      let r = 0;
      let g = 0;
      let b = 0;
      let at = (y * width + first[x]!) * 3;
      for (let i = x * size, end = i + count[x]!; i < end; i++, at += 3) {
        const weight = weights[i]!;
        r += data[at]! * weight;
        g += data[at + 1]! * weight;
        b += data[at + 2]! * weight;
      }
      const target = (y * to + x) * 3;
      out[target] = round8(r);
      out[target + 1] = round8(g);
      out[target + 2] = round8(b);
    }
  }
  return { width: to, height, data: out };
}

function resizeColumns({ data, width, height }: RgbImage, to: number, filter: Filter): RgbImage {
  const { size, first, count, weights } = tapsOf(height, to, filter);
  const stride = width * 3;
  const out = new Uint8Array(to * stride);
  const sums = new Int32Array(stride);
  for (let y = 0; y < to; y++) {
    sums.fill(0);
    for (let i = 0; i < count[y]!; i++) {
      const weight = weights[y * size + i]!;
      const row = (first[y]! + i) * stride;
      for (let x = 0; x < stride; x++) sums[x] = sums[x]! + data[row + x]! * weight;
    }
    for (let x = 0; x < stride; x++) out[y * stride + x] = round8(sums[x]!);
  }
  return { width, height: to, data: out };
}

/**
 * As Pillow 13 resizes, bit for bit: each output pixel is a weighted mean around its centre, along rows and along columns,
 * rounded to 8 bits after each, with weights in fixed point (https://pillow.readthedocs.io/en/stable/handbook/concepts.html#filters).
 */
export function resizePil(image: RgbImage, width: number, height: number, method: PilResizeMethod): RgbImage {
  const filter = filters[method];
  const rows = (from: RgbImage) => (width === from.width ? from : resizeRows(from, width, filter));
  const columns = (from: RgbImage) => (height === from.height ? from : resizeColumns(from, height, filter));
  // Pillow 13 (python-pillow/Pillow#9549; found by trying) takes columns first where that saves work; before, rows were
  // always first. The order shows in the last bit.
  const saved = image.height - height;
  const columnsFirst = saved > 0 && saved > 2 * (image.width - width);
  const resized = columnsFirst ? rows(columns(image)) : columns(rows(image));
  return resized === image ? { width, height, data: image.data.slice() } : resized;
}
