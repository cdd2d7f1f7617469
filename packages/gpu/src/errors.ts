/** Where a shader failed to compile, in the file a person wrote. */
export interface ShaderErrorPlace {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly reason: string;
  readonly snippet: string;
}

/** A WGSL/WESL error with the shader's file and line. */
export class ShaderCompilationError extends Error {
  override readonly name = 'ShaderCompilationError';
  readonly place: ShaderErrorPlace;
  constructor(place: ShaderErrorPlace) {
    super(`${place.file}:${place.line}:${place.column}: ${place.reason}${place.snippet ? `\n${place.snippet}` : ''}`);
    this.place = place;
  }
}

/** The device is gone (driver reset, tab in background, `destroy()`); nothing on it can be used again. */
export class DeviceLostError extends Error {
  override readonly name = 'DeviceLostError';
  readonly reason: string;
  constructor({ reason, message }: { reason: string; message: string }) {
    super(
      `The GPU device was lost (${reason}): ${message || 'no details given'}. Open a new device and resume from the last checkpoint.`,
    );
    this.reason = reason;
  }
}

/** The device could not give the memory asked for. Sizes in bytes. */
export class GpuOutOfMemoryError extends Error {
  override readonly name = 'GpuOutOfMemoryError';
  readonly requestedBytes: number;
  readonly allocatedBytes: number;
  constructor({
    requestedBytes,
    allocatedBytes,
    message,
  }: { requestedBytes: number; allocatedBytes: number; message: string }) {
    super(
      `Out of GPU memory: ${message}. Try shorter sequences, a smaller batch, gradient checkpointing or a quantised base model.`,
    );
    this.requestedBytes = requestedBytes;
    this.allocatedBytes = allocatedBytes;
  }
}

/** WebGPU refused a command: a bug in whoever issued it. */
export class GpuValidationError extends Error {
  override readonly name = 'GpuValidationError';
  constructor({ message }: { message: string }) {
    super(`WebGPU validation failed: ${message}`);
  }
}

/** There is no WebGPU in this runtime. */
export class WebGpuUnavailableError extends Error {
  override readonly name = 'WebGpuUnavailableError';
  readonly reason: string;
  readonly advice: string;
  constructor({ reason, advice }: { reason: string; advice: string }, options?: ErrorOptions) {
    super(`WebGPU is not available: ${reason}. ${advice}`, options);
    this.reason = reason;
    this.advice = advice;
  }
}

/** WebGPU is there, but no adapter (GPU or software driver) that fits what was asked for. */
export class NoAdapterError extends Error {
  override readonly name = 'NoAdapterError';
  readonly reason: string;
  readonly advice: string;
  constructor({ reason, advice }: { reason: string; advice: string }) {
    super(`No WebGPU adapter: ${reason}. ${advice}`);
    this.reason = reason;
    this.advice = advice;
  }
}

/** The device has no `timestamp-query`: it cannot say how long its work took. */
export class TimestampsUnavailableError extends Error {
  override readonly name = 'TimestampsUnavailableError';
  constructor() {
    super('This device has no timestamp-query: measure with performance.now() around gpu.idle() instead.');
  }
}
