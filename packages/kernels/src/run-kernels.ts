import type { Gpu } from '@lapidary/gpu';
import type { KernelCall } from './kernel-call.js';

/** A kernel call that is ready to run. */
export interface Dispatch {
  readonly pipeline: GPUComputePipeline;
  readonly bindGroup: GPUBindGroup;
  readonly workgroups: readonly [number, number, number];
}

/** Records a dispatch into a pass. */
export function encodeDispatch(pass: GPUComputePassEncoder, { pipeline, bindGroup, workgroups }: Dispatch): void {
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, bindGroup);
  pass.dispatchWorkgroups(...workgroups);
}

/** Compiles calls and makes their uniforms and bind groups; `destroy` gives the uniforms back once everything has run. */
export async function prepareKernels(
  gpu: Gpu,
  calls: readonly KernelCall<GPUBuffer>[],
): Promise<{ readonly dispatches: readonly Dispatch[]; destroy(): void }> {
  const compiled = await Promise.all(
    calls.map((call) => gpu.pipelines.get({ ...call, access: call.bindings.map((b) => b.access) })),
  );
  const uniformBuffers: GPUBuffer[] = [];
  const destroy = () => uniformBuffers.splice(0).forEach((buffer) => gpu.destroyBuffer(buffer));
  const dispatchOf = (call: KernelCall<GPUBuffer>, i: number): Dispatch => {
    const { pipeline, layout } = compiled[i]!;
    const uniforms = gpu.createBuffer(
      Math.ceil(call.uniforms.byteLength / 16) * 16,
      'uniforms',
      GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
    );
    uniformBuffers.push(uniforms);
    gpu.device.queue.writeBuffer(uniforms, 0, call.uniforms as Uint32Array<ArrayBuffer>);
    const bindGroup = gpu.createBindGroup({
      layout,
      entries: [
        { binding: 0, resource: { buffer: uniforms } },
        ...call.bindings.map(({ buffer, offset, size }, b) => ({
          binding: b + 1,
          resource: { buffer, offset, size },
        })),
      ],
    });
    return { pipeline, bindGroup, workgroups: call.workgroups };
  };
  try {
    return { dispatches: calls.map(dispatchOf), destroy };
  } catch (error) {
    destroy();
    throw error;
  }
}

/**
 * Runs kernel calls once, in order, on a bare device: for tools, tests and whoever uses this package alone. Programs that
 * run more than once are recorded by `@lapidary/tensor` instead, which makes buffers and bind groups only once.
 */
export async function runKernels(gpu: Gpu, calls: readonly KernelCall<GPUBuffer>[]): Promise<void> {
  const { dispatches, destroy } = await prepareKernels(gpu, calls);
  try {
    const encoder = gpu.device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    for (const dispatch of dispatches) encodeDispatch(pass, dispatch);
    pass.end();
    gpu.submit([encoder.finish()]);
    await gpu.idle();
  } finally {
    destroy();
  }
}

/** Copies `size` bytes of a buffer back to the CPU. */
export async function readBuffer(
  gpu: Gpu,
  buffer: GPUBuffer,
  offset = 0,
  size = buffer.size - offset,
): Promise<ArrayBuffer> {
  const staging = gpu.createBuffer(size, 'read back', GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST);
  try {
    const encoder = gpu.device.createCommandEncoder();
    encoder.copyBufferToBuffer(buffer, offset, staging, 0, size);
    gpu.submit([encoder.finish()]);
    return await gpu.readMapped(staging);
  } finally {
    gpu.destroyBuffer(staging);
  }
}
