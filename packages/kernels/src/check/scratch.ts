import type { Gpu } from '@lapidary/gpu';
import { storageBytes, type DType } from '../dtype.js';
import type { Operand } from '../kernel-call.js';

/** Operands that are given back together. */
export class Scratch {
  readonly #gpu: Gpu;
  readonly #buffers: GPUBuffer[] = [];

  constructor(gpu: Gpu) {
    this.#gpu = gpu;
  }

  #buffer(bytes: number): GPUBuffer {
    const buffer = this.#gpu.createBuffer(bytes, 'kernel check');
    this.#buffers.push(buffer);
    return buffer;
  }

  /** Values on the device, as they lie. */
  put(data: Float32Array | Int32Array | Uint8Array, dtype: DType): Operand<GPUBuffer> {
    const bytes = new Uint8Array(Math.ceil(data.byteLength / 4) * 4);
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    const buffer = this.#buffer(bytes.byteLength);
    this.#gpu.device.queue.writeBuffer(buffer, 0, bytes);
    return { buffer, offset: 0, dtype };
  }

  /** Room for `n` values, filled with NaN: what a kernel forgets to write is then seen. */
  empty(n: number, dtype: DType = 'f32'): Operand<GPUBuffer> {
    return { ...this.put(new Uint8Array(storageBytes(dtype, n)).fill(0xff), dtype), dtype };
  }

  destroy(): void {
    for (const buffer of this.#buffers.splice(0)) this.#gpu.destroyBuffer(buffer);
  }
}
