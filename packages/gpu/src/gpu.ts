import { platform } from '#platform';
import { causeOf, lossOf } from './device-loss.js';
import { type DeviceLostError, GpuOutOfMemoryError, GpuValidationError } from './errors.js';
import { FirstUse } from './first-use.js';
import { PipelineCache, type PipelineSpec } from './pipelines.js';
import type { DeviceProfile } from './profile.js';

/** Counts of what was made on the device since it was opened; a training step must not move the first three. */
export interface GpuCounters {
  buffers: number;
  bindGroups: number;
  submits: number;
  /** Bytes of the buffers alive now, and the most there ever were. */
  bytes: number;
  peakBytes: number;
}

/** An open device with its profile, pipelines and counters: the value everything above takes. */
export class Gpu {
  readonly device: GPUDevice;
  #profile: DeviceProfile;
  readonly pipelines: PipelineCache;
  readonly counters: GpuCounters = { buffers: 0, bindGroups: 0, submits: 0, bytes: 0, peakBytes: 0 };
  /** Resolves when the device is lost or destroyed. */
  readonly lost: Promise<DeviceLostError>;
  #lostError: DeviceLostError | undefined;
  #uncaptured: Error | undefined;
  readonly #sizes = new WeakMap<GPUBuffer, number>();

  readonly #firstUse: FirstUse | undefined;

  /** @param openAnother opens another device on the same adapter */
  constructor(device: GPUDevice, profile: DeviceProfile, openAnother?: () => Promise<Gpu>) {
    this.device = device;
    this.#profile = profile;
    this.pipelines = new PipelineCache(device);
    this.lost = lossOf(device).then((error) => {
      this.#lostError = error;
      return error;
    });
    this.#firstUse = openAnother && new FirstUse(this, openAnother);
    device.addEventListener?.('uncapturederror', (event) => {
      const { error } = event as GPUUncapturedErrorEvent;
      const wrapped = /memory/i.test(error.constructor.name)
        ? new GpuOutOfMemoryError({ requestedBytes: 0, allocatedBytes: this.counters.bytes, message: error.message })
        : new GpuValidationError({ message: error.message });
      this.#uncaptured ??= wrapped;
    });
  }

  /** What kernels and planners decide by. */
  get profile(): DeviceProfile {
    return this.#profile;
  }

  /** Takes kernel variants out of use on this device: whatever is planned from `profile` afterwards does without them. */
  disableVariants(ids: Iterable<string>): void {
    const disabledVariants = new Set([...(this.#profile.disabledVariants ?? []), ...ids]);
    this.#profile = { ...this.#profile, disabledVariants };
  }

  /**
   * Throws what went wrong on the device since the last call, if anything did.
   * @throws DeviceLostError, GpuOutOfMemoryError, GpuValidationError
   */
  check(): void {
    if (this.#lostError !== undefined) throw this.#lostError;
    if (this.#uncaptured !== undefined) {
      const error = this.#uncaptured;
      this.#uncaptured = undefined;
      throw error;
    }
  }

  /**
   * A counted buffer of `size` bytes (rounded up to 4). `usage` defaults to storage that can be copied from and to.
   * @throws GpuOutOfMemoryError when `size` is beyond `maxBufferSize`.
   */
  createBuffer(size: number, label: string, usage?: GPUBufferUsageFlags): GPUBuffer {
    if (this.#lostError !== undefined) throw this.#lostError;
    const bytes = Math.max(4, Math.ceil(size / 4) * 4);
    const { maxBufferSize } = this.profile.limits;
    if (bytes > maxBufferSize) {
      throw new GpuOutOfMemoryError({
        requestedBytes: bytes,
        allocatedBytes: this.counters.bytes,
        message: `buffer '${label}' of ${bytes} bytes is beyond this device's maxBufferSize of ${maxBufferSize} bytes`,
      });
    }
    const buffer = this.device.createBuffer({
      label,
      size: bytes,
      usage: usage ?? GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
    });
    this.#sizes.set(buffer, bytes);
    this.counters.buffers++;
    this.counters.bytes += bytes;
    this.counters.peakBytes = Math.max(this.counters.peakBytes, this.counters.bytes);
    return buffer;
  }

  /** Destroys a buffer made by `createBuffer` and takes its bytes off the counters. Twice is harmless. */
  destroyBuffer(buffer: GPUBuffer): void {
    const bytes = this.#sizes.get(buffer);
    if (bytes === undefined) return;
    this.#sizes.delete(buffer);
    this.counters.bytes -= bytes;
    buffer.destroy();
  }

  createBindGroup(descriptor: GPUBindGroupDescriptor): GPUBindGroup {
    this.counters.bindGroups++;
    return this.device.createBindGroup(descriptor);
  }

  submit(commands: GPUCommandBuffer[]): void {
    this.counters.submits++;
    this.device.queue.submit(commands);
  }

  /** Waits until everything submitted so far has run, then reports errors as `check` does. */
  async idle(): Promise<void> {
    const { queue } = this.device;
    await platform.wait(Promise.race([queue.onSubmittedWorkDone(), this.lost]), queue);
    this.check();
  }

  /**
   * The first `size` bytes of a buffer with MAP_READ, once everything submitted before has run.
   * @throws DeviceLostError, GpuOutOfMemoryError, GpuValidationError
   */
  async readMapped(staging: GPUBuffer, size = staging.size): Promise<ArrayBuffer> {
    try {
      await platform.wait(staging.mapAsync(GPUMapMode.READ, 0, size), this.device.queue);
    } catch (error) {
      const cause = await causeOf(error, this.lost);
      this.check();
      throw cause;
    }
    const bytes = staging.getMappedRange(0, size).slice(0);
    staging.unmap();
    return bytes;
  }

  /**
   * Compiles pipelines, all at once, down to what the device runs where possible: lavapipe leaves that to their first use.
   * @throws what `pipelines.get` throws
   */
  async compile(specs: readonly PipelineSpec[]): Promise<void> {
    await Promise.all([this.#firstUse?.of(specs), ...specs.map((spec) => this.pipelines.get(spec))]);
  }

  /** Gives the device back. Buffers and programs made on it are dead afterwards. */
  destroy(): void {
    this.#firstUse?.stop();
    this.device.destroy();
  }
}
