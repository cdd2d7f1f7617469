import { openGpu } from '@lapidary/gpu';
import { variableFrom } from '@lapidary/tensor';
import { expect, test } from 'vitest';
import { findNonFinite } from './find-non-finite.js';

test('the first variable with a value that is not finite, of any type, at its very end too', async () => {
  const gpu = await openGpu();
  // More than one piece is read of the long one.
  const long = new Float32Array(300_000);
  const whole = variableFrom(gpu, long, [long.length]);
  const half = (last: number) => variableFrom(gpu, Uint16Array.of(0x3f80, 0xbf80, last), [3], { dtype: 'bf16' });
  const q8 = new Uint8Array(34);
  const block = variableFrom(gpu, q8, [32], { dtype: 'q8_0' });
  const finite = [
    ['whole', whole],
    ['half', half(0x7f7f)],
    ['block', block],
  ] as const;
  expect(await findNonFinite(finite)).toBeNull();
  for (const bits of [0x7f80, 0xff80, 0x7fc0])
    expect(await findNonFinite([...finite, ['bad', half(bits)]])).toBe('bad');
  long[long.length - 1] = Infinity;
  const infinite = variableFrom(gpu, long, [long.length]);
  expect(
    await findNonFinite([
      ['whole', whole],
      ['infinite', infinite],
      ['bad', half(0x7fc0)],
    ]),
  ).toBe('infinite');
  q8[1] = 0x7c; // its scale, f16: infinite
  q8.fill(1, 2);
  expect(await findNonFinite([['scaled', variableFrom(gpu, q8, [32], { dtype: 'q8_0' })]])).toBe('scaled');
  gpu.destroy();
  expect(await findNonFinite([['whole', whole]])).toBeNull();
});
