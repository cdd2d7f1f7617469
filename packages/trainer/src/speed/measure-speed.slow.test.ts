import { openGpu } from '@lapidary/gpu';
import { expect, test } from 'vitest';
import { estimateRelease } from './estimate-release.js';
import { measureSpeed } from './measure-speed.js';

test('a device is measured, gets its memory back, and released models are estimated by it', async () => {
  const gpu = await openGpu();
  try {
    const { bytes } = gpu.counters;
    const speed = await measureSpeed(gpu);
    expect(gpu.counters.bytes).toBe(bytes);
    const kinds = speed.products.map(
      ({ rows, dtype, precision }) => `${dtype} ${rows === 1 ? 'one' : 'many'} ${precision}`,
    );
    const half = gpu.profile.features.has('shader-f16') ? ['bf16 many float16'] : [];
    const exact = ['f32', 'bf16', 'q8_0'].flatMap((dtype) => [`${dtype} many float32`, `${dtype} one float32`]);
    expect(kinds).toEqual([...exact, ...half]);
    const values = speed.products.flatMap(({ flopsPerSecond, bytesPerSecond }) => [flopsPerSecond, bytesPerSecond]);
    for (const value of [...values, speed.runSeconds]) expect(value > 0 && Number.isFinite(value)).toBe(true);
    expect(speed.dispatchSeconds).toBeGreaterThanOrEqual(0);

    const [small, large] = (['gemma-3-270m', 'gemma-3-1b'] as const).map((name) =>
      estimateRelease(name, gpu.profile, speed),
    );
    expect(small!.training.tokensPerSecond).toBeCloseTo(512 / small!.training.secondsPerStep, 6);
    // Whatever the device: more work takes longer.
    expect(large!.training.secondsPerStep).toBeGreaterThan(small!.training.secondsPerStep);
    expect(large!.answering.tokensPerSecond).toBeLessThan(small!.answering.tokensPerSecond);
    expect(gpu.counters.bytes).toBe(bytes);
    await expect(measureSpeed(gpu, { signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow('enough');
    expect(gpu.counters.bytes).toBe(bytes);
  } finally {
    gpu.destroy();
  }
}, 120_000);
