import { type Gpu, GpuTimer, TimestampsUnavailableError } from '@lapidary/gpu';
import type { ProgramPlan } from './plan.js';

/** Time of the calls of one kernel that one op made in one variant. */
export interface KernelTime {
  /** The op that asked for it: `matmul`, `attention backward`, `fused add`. */
  readonly op: string;
  /** The shader: `matmul/matmul`. */
  readonly kernel: string;
  readonly variant: string;
  readonly calls: number;
  readonly nanoseconds: number;
  /** Part of the whole, from 0 to 1. */
  readonly share: number;
  /** What the calls have bound: what is read or written, were each byte touched once. */
  readonly bytes: number;
}

/** Where one run of a program spent its time, slowest first. */
export interface ProgramProfile {
  /** `gpu`: timestamps around each kernel. `wall`: the host's clock, each kernel waited for, so with the waiting in it. */
  readonly clock: 'gpu' | 'wall';
  /** All kernels together. */
  readonly nanoseconds: number;
  readonly kernels: readonly KernelTime[];
}

export interface ProfileOptions {
  /** Default: `gpu` where the device has timestamps, else `wall`. */
  readonly clock?: 'gpu' | 'wall';
}

/** One kernel of a program, ready to run. */
export interface Dispatch {
  readonly pipeline: GPUComputePipeline;
  readonly bindGroup: GPUBindGroup;
  readonly workgroups: readonly [number, number, number];
}

function dispatch(pass: GPUComputePassEncoder, { pipeline, bindGroup, workgroups }: Dispatch): void {
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, bindGroup);
  pass.dispatchWorkgroups(...workgroups);
  pass.end();
}

/**
 * Runs dispatches in order, each in a pass of its own, and gives the nanoseconds of each.
 * @throws TimestampsUnavailableError
 */
export async function timeDispatches(
  gpu: Gpu,
  dispatches: readonly Dispatch[],
  clock: 'gpu' | 'wall',
): Promise<number[]> {
  if (clock === 'wall') return timeByHost(gpu, dispatches);
  if (!GpuTimer.isSupported(gpu)) throw new TimestampsUnavailableError();
  // As many passes at a time as a run puts into one command buffer.
  const timer = new GpuTimer(gpu, 256);
  try {
    const nanoseconds: number[] = [];
    for (let first = 0; first < dispatches.length; first += timer.capacity) {
      const encoder = gpu.device.createCommandEncoder();
      for (const step of dispatches.slice(first, first + timer.capacity))
        dispatch(encoder.beginComputePass(timer.pass('kernel')), step);
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

async function timeByHost(gpu: Gpu, dispatches: readonly Dispatch[]): Promise<number[]> {
  await gpu.idle();
  const nanoseconds: number[] = [];
  for (const step of dispatches) {
    const start = performance.now();
    const encoder = gpu.device.createCommandEncoder();
    dispatch(encoder.beginComputePass(), step);
    gpu.submit([encoder.finish()]);
    await gpu.idle();
    nanoseconds.push((performance.now() - start) * 1e6);
  }
  return nanoseconds;
}

/** Adds up the calls of each kernel. `times` are nanoseconds, one a call of the plan. */
export function summarise(plan: ProgramPlan, times: readonly number[], clock: 'gpu' | 'wall'): ProgramProfile {
  const total = times.reduce((a, b) => a + b, 0);
  const kernels = new Map<string, { -readonly [K in keyof KernelTime]: KernelTime[K] }>();
  plan.calls.forEach(({ shader, variant, bindings }, i) => {
    const op = plan.callNames[i]!;
    const key = `${op}|${shader}|${variant}`;
    let kernel = kernels.get(key);
    if (kernel === undefined) {
      kernel = { op, kernel: shader, variant, calls: 0, nanoseconds: 0, share: 0, bytes: 0 };
      kernels.set(key, kernel);
    }
    kernel.calls++;
    kernel.nanoseconds += times[i]!;
    kernel.bytes += bindings.reduce((sum, { size }) => sum + size, 0);
  });
  for (const kernel of kernels.values()) kernel.share = total > 0 ? kernel.nanoseconds / total : 0;
  return { clock, nanoseconds: total, kernels: [...kernels.values()].sort((a, b) => b.nanoseconds - a.nanoseconds) };
}
