// GGUF blocks against the values that the gguf package gives them (test/fixtures/gguf).
import { expect, it } from 'vitest';
import { fixtureBytes, fixtureTensors } from '../../../../test/support/safetensors-fixture.js';
import { dequantise } from './convert.js';
import { quantDTypes } from '../dtype.js';
import { dequantiseReference } from '../reference/dequantise.js';
import { runKernels } from '../run-kernels.js';
import { emptyOutput, readF32, testGpu, uploadBytes } from '../testing/test-gpu.js';

const file = 'gguf/blocks.safetensors';

async function blockBytes(type: string): Promise<Uint8Array> {
  const bytes = await fixtureBytes(file);
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  const [start, end] = header[`${type}.bytes`].data_offsets as [number, number];
  return bytes.slice(8 + length + start, 8 + length + end);
}

it.each(quantDTypes)('dequantises %s as gguf does', async (type) => {
  const gpu = await testGpu();
  const values = (await fixtureTensors(file)).get(`${type}.values`)!.data;
  const bytes = await blockBytes(type);
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
