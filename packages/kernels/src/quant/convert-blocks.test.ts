// Blocks against the values that the gguf package, of NF4 bitsandbytes, gives them (test/fixtures/gguf, nf4).
import { expect, it } from 'vitest';
import { fixtureTensors } from '../../../../test/support/safetensors-fixture.js';
import { dequantise } from './convert.js';
import { quantDTypes } from '../dtype.js';
import { dequantiseReference } from '../reference/dequantise.js';
import { runKernels } from '../run-kernels.js';
import { blocksFile, ggufBlocks } from '../testing/gguf-blocks.js';
import { emptyOutput, readF32, testGpu, uploadBytes } from '../testing/test-gpu.js';

it.each(quantDTypes)('dequantises %s as its library does', async (type) => {
  const gpu = await testGpu();
  const values = (await fixtureTensors(blocksFile(type))).get(`${type}.values`)!.data;
  const { bytes } = await ggufBlocks(type);
  // The float64 twin, by which devices are checked, against the same.
  const twin = dequantiseReference(type, bytes);
  expect(twin.length).toBe(values.length);
  twin.forEach((v, i) => expect(Math.abs(v - values[i]!)).toBeLessThanOrEqual(1e-6 * Math.max(Math.abs(v), 1)));
  // A second time many blocks over, in windows.
  for (const { copies, limit } of [
    { copies: 1, limit: gpu.profile.limits.maxStorageBufferBindingSize },
    { copies: 128, limit: 1 << 18 },
  ]) {
    const many = new Uint8Array(bytes.length * copies);
    for (let i = 0; i < copies; i++) many.set(bytes, i * bytes.length);
    const n = values.length * copies;
    const out = emptyOutput(gpu, n);
    const profile = { ...gpu.profile, limits: { ...gpu.profile.limits, maxStorageBufferBindingSize: limit } };
    await runKernels(gpu, dequantise(profile, { x: uploadBytes(gpu, many, type), out, n, from: type }));
    const found = await readF32(gpu, out, n);
    let worst = 0;
    for (let i = 0; i < n; i++) {
      const expected = values[i % values.length]!;
      const difference = Math.abs(found[i]! - expected) / Math.max(Math.abs(expected), 1);
      worst = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : Math.max(worst, difference);
    }
    expect(worst).toBeLessThan(1e-5);
  }
});
