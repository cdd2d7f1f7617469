import type { Gpu } from '@lapidary/gpu';
import { byteLength, readBuffer, type DType, type KernelCall, type Operand } from '@lapidary/kernels';
import { prepare } from '../../../packages/kernels/bench/measure.js';
import type { Task } from '../protocol.js';
import { sample } from '../values.js';

/** Operands of one task, given back together. */
export class Operands {
  readonly #gpu: Gpu;
  readonly #buffers: GPUBuffer[] = [];

  constructor(gpu: Gpu) {
    this.#gpu = gpu;
  }

  /** `n` values; zeros where no data is given. */
  make(n: number, data?: Float32Array | Int32Array | Uint16Array, dtype: DType = 'f32'): Operand<GPUBuffer> {
    const buffer = this.#gpu.createBuffer(Math.ceil(byteLength(dtype, n) / 4) * 4, 'operand');
    if (data) this.#gpu.device.queue.writeBuffer(buffer, 0, data as Float32Array<ArrayBuffer>);
    this.#buffers.push(buffer);
    return { buffer, offset: 0, dtype };
  }

  /** Kernels as a task; its result is a sample of each of `outputs`. */
  async task(calls: readonly KernelCall<GPUBuffer>[], outputs: readonly Operand<GPUBuffer>[]): Promise<Task> {
    const prepared = await prepare(this.#gpu, calls);
    return {
      note: [...new Set(calls.map((call) => call.variant))].join(', '),
      run: () => prepared.run(1),
      result: async () => {
        const parts: number[] = [];
        for (const { buffer } of outputs) parts.push(...sample(new Float32Array(await readBuffer(this.#gpu, buffer))));
        return parts;
      },
      drop: () => {
        prepared.destroy();
        for (const buffer of this.#buffers) this.#gpu.destroyBuffer(buffer);
      },
    };
  }
}
