import { expect, it } from 'vitest';
import { patchify } from '../../image/patchify.js';
import { preprocessImage } from './preprocess-image.js';

const ramp = { width: 16, height: 16, data: Uint8Array.from({ length: 768 }, (_, i) => Math.floor(i / 3)) };

it.each(['big-vision', 'hugging-face', 'gemma3-hugging-face'] as const)('%s maps 0 … 255 to −1 … 1', (preset) => {
  const pixels = preprocessImage(ramp, { preset, imageSize: 16 });
  expect(pixels).toHaveLength(768);
  for (let v = 0; v < 256; v++) expect(pixels[v]).toBeCloseTo(v / 127.5 - 1, 6);
  expect([pixels[0], pixels[255]]).toEqual([-1, 1]);
});

it('puts channels first', () => {
  const image = { width: 1, height: 1, data: Uint8Array.of(0, 255, 51) };
  const pixels = preprocessImage(image, { preset: 'hugging-face', imageSize: 2 });
  expect([...pixels].map((value) => Math.round(value * 10) / 10)).toEqual([
    ...[-1, -1, -1, -1],
    ...[1, 1, 1, 1],
    ...[-0.6, -0.6, -0.6, -0.6],
  ]);
});

it('cuts patches row by row, each channel, row, column', () => {
  const [size, patch] = [6, 3];
  const pixels = Float32Array.from({ length: 3 * size * size }, (_, i) => i);
  const patches = patchify(pixels, size, patch);
  const at = (n: number, c: number, y: number, x: number) => patches[((n * 3 + c) * patch + y) * patch + x];
  for (let n = 0; n < 4; n++) {
    const [top, left] = [Math.floor(n / 2) * patch, (n % 2) * patch];
    for (let c = 0; c < 3; c++)
      for (let y = 0; y < patch; y++)
        for (let x = 0; x < patch; x++) expect(at(n, c, y, x)).toBe((c * size + top + y) * size + left + x);
  }
  expect(() => patchify(pixels, 6, 4)).toThrow(RangeError);
  expect(() => patchify(pixels.subarray(1), 6, 3)).toThrow(/has 108 values, not 107/);
});
