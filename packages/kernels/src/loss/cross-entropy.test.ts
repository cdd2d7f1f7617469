import type { DeviceProfile } from '@lapidary/gpu';
import { describe, expect, it } from 'vitest';
import {
  crossEntropyChunkBackward,
  crossEntropyChunkForward,
  crossEntropyFinish,
  type CrossEntropyVariant,
} from './cross-entropy.js';
import { crossEntropyReference } from '../reference/cross-entropy.js';
import { runKernels } from '../run-kernels.js';
import {
  emptyOutput,
  randomArray,
  readF32,
  relativeError,
  seededRandom,
  testGpu,
  upload,
} from '../testing/test-gpu.js';

interface Case {
  rows: number;
  classes: number;
  chunk: number;
  softcap: number;
  /** ε of label smoothing. */
  epsilon?: number;
  variant: CrossEntropyVariant;
  /** Columns between the end of a chunk and the next row. */
  gap?: number;
  limit?: number;
  spoil?: (logits: Float32Array) => void;
}

/** Runs the classes through in chunks, as a program does: forward all, finish, backward all. */
async function run({ rows, classes, chunk, softcap, epsilon = 0, variant, gap = 0, limit, spoil }: Case) {
  const gpu = await testGpu();
  const profile: DeviceProfile = limit
    ? { ...gpu.profile, limits: { ...gpu.profile.limits, maxStorageBufferBindingSize: limit } }
    : gpu.profile;
  const z = randomArray(rows * classes, rows + classes, 20);
  spoil?.(z);
  const random = seededRandom(classes);
  const targets = Int32Array.from({ length: rows }, (_, r) => (r % 5 === 3 ? -100 : Math.floor(random() * classes)));
  const dLoss = randomArray(rows, 3);
  const targetsOnGpu = upload(gpu, targets, 'i32');
  const dLossOnGpu = upload(gpu, dLoss);
  const state = emptyOutput(gpu, rows * 4);
  const smoothing = epsilon > 0 ? { smoothing: { epsilon, classes } } : {};
  const loss = emptyOutput(gpu, rows);
  const lse = emptyOutput(gpu, rows);
  const correct = emptyOutput(gpu, rows);
  const chunks = Array.from({ length: Math.ceil(classes / chunk) }, (_, i) => {
    const chunkStart = i * chunk;
    const chunkSize = Math.min(chunk, classes - chunkStart);
    const rowStride = chunkSize + gap;
    const part = new Float32Array(rows * rowStride).fill(7e30);
    for (let r = 0; r < rows; r++) {
      part.set(z.subarray(r * classes + chunkStart, r * classes + chunkStart + chunkSize), r * rowStride);
    }
    return {
      logits: upload(gpu, part),
      targets: targetsOnGpu,
      rows,
      chunkStart,
      chunkSize,
      rowStride,
      softcap,
      ...smoothing,
    };
  });
  await runKernels(gpu, [
    ...chunks.flatMap((c, i) => crossEntropyChunkForward(profile, { ...c, state, first: i === 0, variant })),
    ...crossEntropyFinish(profile, { state, targets: targetsOnGpu, loss, lse, correct, rows, ...smoothing }),
    ...chunks.flatMap((c) => crossEntropyChunkBackward(profile, { ...c, lse, dLoss: dLossOnGpu })),
  ]);
  const grad = new Float32Array(rows * classes);
  for (const { logits, chunkStart, chunkSize, rowStride } of chunks) {
    const part = await readF32(gpu, logits, rows * rowStride);
    for (let r = 0; r < rows; r++) {
      grad.set(part.subarray(r * rowStride, r * rowStride + chunkSize), r * classes + chunkStart);
      for (let c = chunkSize; c < rowStride; c++) expect(part[r * rowStride + c]).toBe(Math.fround(7e30));
    }
  }
  const expected = crossEntropyReference(z, targets, dLoss, rows, classes, softcap, epsilon);
  return {
    loss: await readF32(gpu, loss, rows),
    lse: await readF32(gpu, lse, rows),
    correct: await readF32(gpu, correct, rows),
    ...{ grad, expected, targets },
  };
}

describe.each<CrossEntropyVariant>(['plain', 'workgroup'])('cross-entropy, %s', (variant) => {
  it.each([
    { rows: 1, classes: 1, chunk: 1, softcap: 0 },
    { rows: 7, classes: 13, chunk: 13, softcap: 0 },
    { rows: 7, classes: 13, chunk: 5, softcap: 30 },
    { rows: 33, classes: 1024, chunk: 1024, softcap: 0 },
    { rows: 5, classes: 2060, chunk: 1028, softcap: 30 },
    { rows: 6, classes: 24, chunk: 8, softcap: 4, gap: 4 },
    { rows: 6, classes: 21, chunk: 8, softcap: 4, gap: 3 },
    { rows: 130, classes: 12, chunk: 8, softcap: 0, limit: 2048 },
    { rows: 1, classes: 1, chunk: 1, softcap: 0, epsilon: 0.1 },
    { rows: 7, classes: 13, chunk: 5, softcap: 30, epsilon: 0.1 },
    { rows: 5, classes: 2060, chunk: 1028, softcap: 30, epsilon: 0.3 },
    { rows: 5, classes: 2057, chunk: 1031, softcap: 0, epsilon: 1 },
    { rows: 6, classes: 21, chunk: 8, softcap: 4, gap: 3, epsilon: 0.05 },
    { rows: 130, classes: 12, chunk: 8, softcap: 0, limit: 2048, epsilon: 0.2 },
  ])('$rows rows of $classes classes in chunks of $chunk, cap $softcap, smoothing $epsilon', async (shape) => {
    const { loss, lse, correct, grad, expected } = await run({ ...shape, variant });
    expect(Array.from(correct)).toEqual(Array.from(expected.correct));
    expect(relativeError(lse, expected.lse)).toBeLessThan(1e-6);
    expect(relativeError(loss, expected.loss)).toBeLessThan(2e-6);
    expect(relativeError(grad, expected.grad)).toBeLessThan(1e-5);
  });

  it.each([0, 0.1])('shows NaN and infinity among the logits in their rows only, smoothing %d', async (epsilon) => {
    const classes = 24;
    const spoil = (z: Float32Array) => {
      z[0 * classes + 17] = Number.NaN;
      z[1 * classes + 2] = Number.POSITIVE_INFINITY;
      z[2 * classes + 2] = Number.NEGATIVE_INFINITY;
    };
    const shape = { rows: 6, classes, chunk: 8, softcap: 0 };
    const { loss, grad, expected, targets } = await run({ ...shape, epsilon, variant, spoil });
    // A class that cannot be has a share of the target.
    expect(loss[2]).toBe(epsilon > 0 ? Infinity : loss[2]);
    expect(targets[2]).not.toBe(2);
    expect([...loss].map(Number.isNaN)).toEqual([true, true, false, false, false, false]);
    for (const row of [0, 1]) expect(grad.subarray(row * classes, (row + 1) * classes).every(Number.isNaN)).toBe(true);
    expect(relativeError(grad.subarray(2 * classes), expected.grad.subarray(2 * classes))).toBeLessThan(1e-5);
  });
});
