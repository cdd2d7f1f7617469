import { expect, it } from 'vitest';
import { resizeImage } from './resize-image.js';
import type { RgbImage } from './rgb-image.js';

/** Grey, from the values of a row-major picture. */
const grey = (width: number, values: readonly number[]): RgbImage => ({
  width,
  height: values.length / width,
  data: Uint8Array.from(values.flatMap((value) => [value, value, value])),
});
const channel = (data: ArrayLike<number>) => Array.from({ length: data.length / 3 }, (_, i) => data[3 * i]!);
const columns = [0, 255, 10, 200, 90, 30, 250];

// Values by Pillow 13.0.0: Image.fromarray(…).resize((width, height), …).
it.each([
  ['pil-bilinear', 3, [111, 123, 121]],
  ['pil-bicubic', 3, [111, 117, 127]],
  ['pil-bilinear', 10, [0, 140, 194, 22, 134, 162, 87, 45, 129, 250]],
  ['pil-bicubic', 10, [0, 152, 219, 13, 138, 182, 86, 24, 129, 255]],
] as const)("%s to %d pixels is Pillow's", (method, width, expected) => {
  expect(channel(resizeImage(grey(7, columns), { width, height: 1, method }).data)).toEqual(expected);
  expect(channel(resizeImage(grey(1, columns), { width: 1, height: width, method }).data)).toEqual(expected);
});

// Values by JAX 0.10.2: jax.image.resize(…, 'bilinear', antialias=True).
it.each([
  [3, [111.4286, 122.6471, 121.4286]],
  [10, [0.0, 140.25, 193.75, 22.25, 133.5, 161.5, 87.0, 45.0, 129.0, 250.0]],
] as const)("bilinear-antialias to %d pixels is JAX's", (width, expected) => {
  const close = (data: Float32Array) => channel(data).forEach((value, i) => expect(value).toBeCloseTo(expected[i]!, 3));
  close(resizeImage(grey(7, columns), { width, height: 1, method: 'bilinear-antialias' }).data);
  close(resizeImage(grey(1, columns), { width: 1, height: width, method: 'bilinear-antialias' }).data);
});

it('changes nothing where the size is the same, and never the original', () => {
  const image = grey(7, columns);
  for (const method of ['pil-bilinear', 'pil-bicubic', 'bilinear-antialias'] as const) {
    const same = resizeImage(image, { width: 7, height: 1, method });
    expect([...same.data]).toEqual([...image.data]);
    expect(same.data).not.toBe(image.data);
  }
});

it('refuses sizes and pictures that cannot be', () => {
  for (const width of [0, 1.5, Number.NaN])
    expect(() => resizeImage(grey(7, columns), { width, height: 1, method: 'pil-bicubic' })).toThrow(RangeError);
  const short = { ...grey(7, columns), height: 2 };
  expect(() => resizeImage(short, { width: 1, height: 1, method: 'pil-bicubic' })).toThrow(/has 42 bytes, not 21/);
});

it('takes columns first where Pillow 13 does', () => {
  const tall = grey(
    3,
    Array.from({ length: 27 }, (_, i) => (i * i * 37 + i * 11) % 256),
  );
  const { data } = resizeImage(tall, { width: 5, height: 4, method: 'pil-bicubic' });
  expect(channel(data)).toEqual([
    68, 69, 83, 148, 189, 60, 111, 191, 213, 218, 80, 141, 228, 194, 161, 125, 149, 184, 171, 158,
  ]);
});
