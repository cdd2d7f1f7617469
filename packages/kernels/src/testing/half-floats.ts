import type { DType } from '../dtype.js';
import { seededRandom } from './test-gpu.js';

/** `n` seeded values that `dtype` can hold exactly, roughly in [-2, 2], and their bytes in that type. */
export function randomStored(
  n: number,
  seed: number,
  dtype: Extract<DType, 'f32' | 'f16' | 'bf16'>,
): { values: Float32Array; bytes: Uint8Array } {
  const random = seededRandom(seed);
  const values = new Float32Array(n);
  if (dtype === 'f32') {
    for (let i = 0; i < n; i++) values[i] = random() * 4 - 2;
    return { values, bytes: new Uint8Array(values.buffer) };
  }
  // Sign, exponent and mantissa are drawn, so that nothing has to be rounded.
  const bits = new Uint16Array(n);
  const [bias, mantissaBits] = dtype === 'f16' ? [15, 10] : [127, 7];
  for (let i = 0; i < n; i++) {
    const sign = random() < 0.5 ? 1 : 0;
    const exponent = Math.floor(random() * 5) - 4;
    const mantissa = Math.floor(random() * 2 ** mantissaBits);
    bits[i] = (sign << 15) | ((exponent + bias) << mantissaBits) | mantissa;
    values[i] = (sign ? -1 : 1) * 2 ** exponent * (1 + mantissa / 2 ** mantissaBits);
  }
  return { values, bytes: new Uint8Array(bits.buffer) };
}
