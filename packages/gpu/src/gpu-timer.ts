import { TimestampsUnavailableError } from './errors.js';
import type { Gpu } from './gpu.js';

/** How long one compute pass took on the GPU. */
export interface PassTime {
  readonly label: string;
  readonly milliseconds: number;
}

/**
 * Measures compute passes with GPU timestamps: give each pass `timer.pass(label)` as its descriptor, call
 * `timer.resolve(encoder)` before `finish()`, submit, then await `timer.read()`. One measurement at a time.
 */
export class GpuTimer {
  readonly capacity: number;
  readonly #gpu: Gpu;
  readonly #queries: GPUQuerySet;
  readonly #resolved: GPUBuffer;
  readonly #staging: GPUBuffer;
  #labels: string[] = [];

  /** Whether this device can measure; without the feature `timestamp-query` a GpuTimer cannot be made. */
  static isSupported(gpu: Gpu): boolean {
    return gpu.profile.features.has('timestamp-query');
  }

  /**
   * @param capacity the most passes in one measurement, at most 2,048.
   * @throws TimestampsUnavailableError, or RangeError where capacity is out of range.
   */
  constructor(gpu: Gpu, capacity = 256) {
    if (!GpuTimer.isSupported(gpu)) throw new TimestampsUnavailableError();
    // WebGPU allows 4,096 queries in a set; a pass takes two.
    if (!Number.isInteger(capacity) || capacity < 1 || capacity > 2048) {
      throw new RangeError(`capacity must be a whole number from 1 to 2048, not ${capacity}.`);
    }
    this.#gpu = gpu;
    this.capacity = capacity;
    this.#queries = gpu.device.createQuerySet({ label: 'timer', type: 'timestamp', count: 2 * capacity });
    const { QUERY_RESOLVE, COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
    this.#resolved = gpu.createBuffer(16 * capacity, 'timer', QUERY_RESOLVE | COPY_SRC);
    this.#staging = gpu.createBuffer(16 * capacity, 'timer read back', MAP_READ | COPY_DST);
  }

  /**
   * The descriptor of a pass to be measured.
   * @throws RangeError beyond `capacity` passes.
   */
  pass(label: string): GPUComputePassDescriptor {
    const index = this.#labels.length;
    if (index >= this.capacity)
      throw new RangeError(`This timer holds ${this.capacity} passes; make one with a larger capacity.`);
    this.#labels.push(label);
    const timestampWrites = {
      querySet: this.#queries,
      beginningOfPassWriteIndex: 2 * index,
      endOfPassWriteIndex: 2 * index + 1,
    };
    return { label, timestampWrites };
  }

  /** Records the copy of what was measured, after the last measured pass. */
  resolve(encoder: GPUCommandEncoder): void {
    const count = this.#labels.length;
    if (count === 0) return;
    encoder.resolveQuerySet(this.#queries, 0, 2 * count, this.#resolved, 0);
    encoder.copyBufferToBuffer(this.#resolved, 0, this.#staging, 0, 16 * count);
  }

  /** The times of the submitted passes, in their order; the timer is then free for the next measurement. */
  async read(): Promise<PassTime[]> {
    const labels = this.#labels;
    this.#labels = [];
    if (labels.length === 0) return [];
    const nanoseconds = new BigUint64Array(await this.#gpu.readMapped(this.#staging, 16 * labels.length));
    // Some drivers let the clock run back at a reset: nothing took less than no time.
    return labels.map((label, i) => ({
      label,
      milliseconds: Math.max(0, Number(nanoseconds[2 * i + 1]! - nanoseconds[2 * i]!) / 1e6),
    }));
  }

  /** Gives the timer's buffers back. */
  destroy(): void {
    this.#queries.destroy();
    this.#gpu.destroyBuffer(this.#resolved);
    this.#gpu.destroyBuffer(this.#staging);
  }
}
