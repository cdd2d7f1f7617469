import type { FloatImage, RgbImage } from './rgb-image.js';

interface Taps {
  readonly first: number;
  readonly weights: Float64Array;
}

const { fround } = Math;

/**
 * A triangle around each output's centre, as wide as a pixel of the coarser grid; only what lies inside counts. Positions are
 * f32, as in JAX: among a thousand pixels that moves a weight by 1e-4, more than all other rounding does.
 */
function tapsOf(from: number, to: number): Taps[] {
  const scale = fround(from / to);
  const radius = Math.max(scale, 1);
  return Array.from({ length: to }, (_, at) => {
    const center = fround((at + 0.5) * scale - 0.5);
    const first = Math.max(0, Math.ceil(center - radius));
    const last = Math.min(from - 1, Math.floor(center + radius));
    const weights = Float64Array.from({ length: last - first + 1 }, (_, i) =>
      Math.max(0, 1 - fround(Math.abs(first + i - center)) / radius),
    );
    const sum = weights.reduce((a, b) => a + b, 0);
    return { first, weights: weights.map((weight) => weight / sum) };
  });
}

/** Resizes along rows or columns to as many pixels as there are taps; [height, width, 3] in and out. */
function resizeAxis(
  data: ArrayLike<number>,
  { width, height, taps, alongRows }: { width: number; height: number; taps: Taps[]; alongRows: boolean },
): Float32Array {
  const outWidth = alongRows ? taps.length : width;
  const outHeight = alongRows ? height : taps.length;
  const step = alongRows ? 3 : width * 3;
  const out = new Float32Array(outWidth * outHeight * 3);
  for (let y = 0, to = 0; y < outHeight; y++) {
    for (let x = 0; x < outWidth; x++) {
      const { first, weights } = taps[alongRows ? x : y]!;
      const from = alongRows ? (y * width + first) * 3 : (first * width + x) * 3;
      for (let c = 0; c < 3; c++) {
        let sum = 0;
        for (let i = 0; i < weights.length; i++) sum += data[from + i * step + c]! * weights[i]!;
        out[to++] = sum;
      }
    }
  }
  return out;
}

/**
 * As `jax.image.resize(…, 'bilinear', antialias=True)` and `tf.image.resize` do: a triangle filter, widened by the scale when
 * shrinking, at half-pixel centres, weights summing to 1; no rounding to 8 bits.
 */
export function resizeAntialias(image: RgbImage, width: number, height: number): FloatImage {
  // Columns first: fewer bytes are read as floats.
  const low = resizeAxis(image.data, {
    width: image.width,
    height: image.height,
    taps: tapsOf(image.height, height),
    alongRows: false,
  });
  const data = resizeAxis(low, { width: image.width, height, taps: tapsOf(image.width, width), alongRows: true });
  return { width, height, data };
}
