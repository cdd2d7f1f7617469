import { openGpu, type Gpu } from '@lapidary/gpu';
import { storageBytes, type DType } from '../dtype.js';
import type { Operand } from '../kernel-call.js';
import { readBuffer } from '../run-kernels.js';

let shared: Promise<Gpu> | undefined;

/** One device a test file, opened on first use. */
export function testGpu(): Promise<Gpu> {
  shared ??= openGpu();
  return shared;
}

/** Numbers on the GPU as f32, i32 or u32. */
export function upload(
  gpu: Gpu,
  data: Float32Array | Int32Array | Uint32Array | number[],
  dtype: DType = 'f32',
): Operand<GPUBuffer> {
  const array = Array.isArray(data) ? (dtype === 'f32' ? Float32Array.from(data) : Int32Array.from(data)) : data;
  const buffer = gpu.createBuffer(array.byteLength, 'test input');
  gpu.device.queue.writeBuffer(buffer, 0, array as Float32Array<ArrayBuffer>);
  return { buffer, offset: 0, dtype };
}

/** Raw bytes on the GPU under a storage type. */
export function uploadBytes(gpu: Gpu, bytes: Uint8Array, dtype: DType): Operand<GPUBuffer> {
  const padded = new Uint8Array(Math.ceil(bytes.byteLength / 4) * 4);
  padded.set(bytes);
  const buffer = gpu.createBuffer(padded.byteLength, 'test input');
  gpu.device.queue.writeBuffer(buffer, 0, padded);
  return { buffer, offset: 0, dtype };
}

/** An output of `elements` values, filled with NaN so that what a kernel does not write is seen. */
export function emptyOutput(gpu: Gpu, elements: number, dtype: DType = 'f32'): Operand<GPUBuffer> {
  const buffer = gpu.createBuffer(storageBytes(dtype, elements), 'test output');
  gpu.device.queue.writeBuffer(buffer, 0, new Uint32Array(Math.ceil(buffer.size / 4)).fill(0x7fc00000));
  return { buffer, offset: 0, dtype };
}

export async function readF32(gpu: Gpu, operand: Operand<GPUBuffer>, elements: number): Promise<Float32Array> {
  return new Float32Array(await readBuffer(gpu, operand.buffer, operand.offset, elements * 4));
}

/** A seeded generator of uniform numbers in [0, 1) (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** `n` seeded values, uniform in [-1, 1). */
export function randomArray(n: number, seed: number, scale = 1): Float32Array {
  const random = seededRandom(seed);
  return Float32Array.from({ length: n }, () => (random() * 2 - 1) * scale);
}

/** ‖found − expected‖ / ‖expected‖, NaN where anything is not finite. */
export function relativeError(found: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (found.length !== expected.length) throw new RangeError(`lengths differ: ${found.length} and ${expected.length}`);
  let difference = 0;
  let norm = 0;
  for (let i = 0; i < expected.length; i++) {
    difference += (found[i]! - expected[i]!) ** 2;
    norm += expected[i]! ** 2;
  }
  return Math.sqrt(difference) / Math.max(Math.sqrt(norm), 1e-30);
}
