import type { DeviceProfile } from '@lapidary/gpu';
import { describe, expect, it } from 'vitest';
import { convert, dequantise } from './convert.js';
import { packReference, unpackReference } from '../reference/convert.js';
import { readBuffer, runKernels } from '../run-kernels.js';
import { emptyOutput, randomArray, readF32, testGpu, upload, uploadBytes } from '../testing/test-gpu.js';

const limited = async (limit?: number) => {
  const gpu = await testGpu();
  const limits = { ...gpu.profile.limits, ...(limit && { maxStorageBufferBindingSize: limit }) };
  return { gpu, profile: { ...gpu.profile, limits } as DeviceProfile };
};

/** Values at and beside every border of f16 and bf16: halfway cases, the largest, infinity. NaN and denormals apart. */
const awkward = [
  0,
  -0,
  1,
  -1,
  1 + 2 ** -11,
  1 + 3 * 2 ** -11,
  1 + 2 ** -11 + 2 ** -20,
  1 + 2 ** -8,
  1 + 3 * 2 ** -8,
  -(1 + 2 ** -8 + 2 ** -15),
  65504,
  65519,
  65520,
  -65520,
  1e9,
  -3.3e38,
  3.4028234e38,
  2 ** -14,
  2 ** -14 - 2 ** -25,
  2 ** -24,
  2 ** -25,
  3 * 2 ** -25,
  2 ** -26,
  1.5 * 2 ** -24,
  2.5 * 2 ** -24,
  2047.5,
  2048.5,
  2049,
  2051,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
];

describe.each(['bf16', 'f16'] as const)('convert and %s', (type) => {
  it.each([{ n: 1 }, { n: awkward.length + 100 }, { n: 5003, limit: 4096 }])(
    'rounds $n values of f32 to nearest even',
    async ({ n, limit }) => {
      const { gpu, profile } = await limited(limit);
      const values = randomArray(n, n, 3);
      if (n > awkward.length) values.set(awkward, 1);
      const out = emptyOutput(gpu, n, type);
      await runKernels(gpu, convert(profile, { x: upload(gpu, values), out, n, from: 'f32', to: type }));
      const found = new Uint16Array(await readBuffer(gpu, out.buffer)).subarray(0, n);
      expect([...found]).toEqual([...values].map((v) => packReference(v, type)));
    },
  );

  it('keeps NaN', async () => {
    const { gpu, profile } = await limited();
    const out = emptyOutput(gpu, 4, type);
    const x = upload(gpu, Uint32Array.of(0x7fc00000, 0xffc00000, 0x7f800001, 0x7fffffff), 'u32');
    await runKernels(gpu, convert(profile, { x, out, n: 4, from: 'f32', to: type }));
    const found = [...new Uint16Array(await readBuffer(gpu, out.buffer))];
    expect(found.map((bits) => unpackReference(bits, type))).toEqual([NaN, NaN, NaN, NaN]);
  });

  it.each([{ n: 3 }, { n: 63_488 }, { n: 63_487, limit: 65_536 }])('reads $n values', async ({ n, limit }) => {
    const { gpu, profile } = await limited(limit);
    // Every bit pattern but denormals, infinities and NaN, which devices may flush or change.
    const normal = (bits: number) => {
      const exponent = type === 'f16' ? (bits >> 10) & 31 : (bits >> 7) & 255;
      return exponent > 0 && exponent < (type === 'f16' ? 31 : 255);
    };
    const bits = Uint16Array.from({ length: n }, (_, i) =>
      normal((i * 7919) & 0xffff) ? (i * 7919) & 0xffff : 0x3c00,
    );
    for (const run of [convert, dequantise]) {
      const out = emptyOutput(gpu, n);
      const x = uploadBytes(gpu, new Uint8Array(bits.buffer), type);
      await runKernels(gpu, run(profile, { x, out, n, from: type, to: 'f32' }));
      expect(await readF32(gpu, out, n)).toEqual(Float32Array.from(bits, (b) => unpackReference(b, type)));
    }
  });
});

it('convert: i32 to f32', async () => {
  const { gpu, profile } = await limited();
  const out = emptyOutput(gpu, 5);
  await runKernels(
    gpu,
    convert(profile, { x: upload(gpu, [0, -1, 7, 16777217, -2147483648], 'i32'), out, n: 5, from: 'i32', to: 'f32' }),
  );
  expect([...(await readF32(gpu, out, 5))]).toEqual([0, -1, 7, 16777216, -2147483648]);
});

it('convert refuses what it cannot do', async () => {
  const { gpu, profile } = await limited();
  const x = upload(gpu, [1]);
  expect(() => convert(profile, { x, out: x, n: 1, from: 'f32', to: 'q8_0' })).toThrow(/cannot convert f32 to q8_0/);
});
