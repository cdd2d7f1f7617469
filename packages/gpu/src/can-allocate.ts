import type { Gpu } from './gpu.js';

/** Several buffers, since drivers give one large piece less readily than many of a common size. */
const pieceBytes = 256 * 2 ** 20;

/**
 * Whether the device has `bytes` of memory to give at this moment: takes them, touches them, and gives them back. WebGPU has
 * no other way to ask. On an adapter that computes on the CPU this is the machine's own memory: do not ask it for much.
 * @throws DeviceLostError
 */
export async function canAllocate(gpu: Gpu, bytes: number): Promise<boolean> {
  const { device, profile } = gpu;
  const piece = Math.min(pieceBytes, profile.limits.maxBufferSize);
  const buffers: GPUBuffer[] = [];
  device.pushErrorScope('out-of-memory');
  // Of the commands on a buffer that could not be made.
  device.pushErrorScope('validation');
  const encoder = device.createCommandEncoder();
  for (let left = bytes; left > 0; left -= piece) {
    const size = Math.ceil(Math.min(left, piece) / 4) * 4;
    const buffer = device.createBuffer({ label: 'memory probe', size, usage: GPUBufferUsage.COPY_DST });
    encoder.clearBuffer(buffer);
    buffers.push(buffer);
  }
  gpu.submit([encoder.finish()]);
  const errors = Promise.all([device.popErrorScope(), device.popErrorScope()]);
  await gpu.idle();
  const isWhole = (await errors).every((error) => error === null);
  for (const buffer of buffers) buffer.destroy();
  return isWhole;
}
