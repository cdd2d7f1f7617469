import { type Gpu, GpuTimer, TimestampsUnavailableError } from '@lapidary/gpu';
import { encodeDispatch, type Dispatch } from './run-kernels.js';

/** `gpu`: timestamps around each pass. `wall`: the host's clock, each pass waited for, so with the waiting in it. */
export type ProfileClock = 'gpu' | 'wall';

/** The clock that a device has. */
export function profileClock(gpu: Gpu): ProfileClock {
  return GpuTimer.isSupported(gpu) ? 'gpu' : 'wall';
}

/**
 * Runs passes in order and gives the nanoseconds of each.
 * @throws TimestampsUnavailableError
 */
export async function timePasses(
  gpu: Gpu,
  passes: readonly (readonly Dispatch[])[],
  clock: ProfileClock,
): Promise<number[]> {
  if (clock === 'wall') return timeByHost(gpu, passes);
  if (!GpuTimer.isSupported(gpu)) throw new TimestampsUnavailableError();
  // As many passes at a time as a run puts into one command buffer.
  const timer = new GpuTimer(gpu, 256);
  try {
    const nanoseconds: number[] = [];
    for (let first = 0; first < passes.length; first += timer.capacity) {
      const encoder = gpu.device.createCommandEncoder();
      for (const pass of passes.slice(first, first + timer.capacity))
        encodePass(encoder.beginComputePass(timer.pass('kernel')), pass);
      timer.resolve(encoder);
      gpu.submit([encoder.finish()]);
      nanoseconds.push(...(await timer.read()).map(({ milliseconds }) => milliseconds * 1e6));
      gpu.check();
    }
    return nanoseconds;
  } finally {
    timer.destroy();
  }
}

async function timeByHost(gpu: Gpu, passes: readonly (readonly Dispatch[])[]): Promise<number[]> {
  await gpu.idle();
  const nanoseconds: number[] = [];
  for (const pass of passes) {
    const start = performance.now();
    const encoder = gpu.device.createCommandEncoder();
    encodePass(encoder.beginComputePass(), pass);
    gpu.submit([encoder.finish()]);
    await gpu.idle();
    nanoseconds.push((performance.now() - start) * 1e6);
  }
  return nanoseconds;
}

function encodePass(pass: GPUComputePassEncoder, dispatches: readonly Dispatch[]): void {
  for (const dispatch of dispatches) encodeDispatch(pass, dispatch);
  pass.end();
}
