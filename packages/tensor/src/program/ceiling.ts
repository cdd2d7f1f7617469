import type { Gpu } from '@lapidary/gpu';
import {
  elementwise,
  fmaProbe,
  prepareKernels,
  profileClock,
  timePasses,
  workOf,
  type KernelCall,
  type ProfileClock,
  type Work,
} from '@lapidary/kernels';

/** What a device does at most, as far as simple kernels get it to: nothing of it is taken from data sheets. */
export interface Ceiling {
  /** f32 multiplications and additions in registers. Tensor cores and f16 can do more. */
  readonly flopsPerSecond: number;
  /** Copies of several sizes, the smallest first: small ones stay in caches, the largest shows what memory does. */
  readonly copies: readonly {
    /** Read and written together. */
    readonly bytes: number;
    readonly bytesPerSecond: number;
  }[];
}

/** The time that work takes at a device's ceiling: that of its arithmetic or of its memory, whichever is more (the roofline). */
export function leastNanoseconds({ flops, bytes }: Work, ceiling: Ceiling): number {
  return Math.max(flops / ceiling.flopsPerSecond, bytes / copySpeed(ceiling, bytes)) * 1e9;
}

/** Bytes a second of the fastest copy of at least so many bytes: caches hold what is small. Default: of any. */
export function copySpeed({ copies }: Ceiling, bytes = 0): number {
  const asLarge = copies.filter((copy) => copy.bytes >= bytes);
  return Math.max(...(asLarge.length > 0 ? asLarge : copies.slice(-1)).map(({ bytesPerSecond }) => bytesPerSecond));
}

/** Values copied: up to 64 MiB out of as many, more than caches hold and less than any device's largest binding. */
const copied = [1 << 16, 1 << 18, 1 << 20, 1 << 22, 1 << 24];
/** Threads of the multiply-adds: several for every lane of a large GPU. */
const threads = 1 << 18;
/** Clocks of browsers tick in tenths of milliseconds: what is measured lasts much longer, yet is short enough to be left alone. */
const leastMs = 2;
/** How often at least, and for how long if there is time for more: the best of many is what a busy machine can do. */
const repeats = { least: 6, milliseconds: 250 };

/**
 * Measures a device's ceiling: multiply-adds in registers, and copies of 0.5 to 128 MiB, each the fastest of many times. Takes
 * some two seconds, and 129 MiB that are given back.
 * @throws TimestampsUnavailableError
 */
export async function measureCeiling(
  gpu: Gpu,
  { clock = profileClock(gpu) }: { readonly clock?: ProfileClock } = {},
): Promise<Ceiling> {
  const { profile } = gpu;
  const buffers: GPUBuffer[] = [];
  const operand = (n: number) => {
    const buffer = gpu.createBuffer(n * 4, 'ceiling');
    buffers.push(buffer);
    return { buffer, offset: 0, dtype: 'f32' as const };
  };
  try {
    // On a GPU so many rounds that starting is nothing beside them. x ← x/2 + 1/2 stays what floats hold.
    const rounds = profile.adapter.isSoftware ? 8 : 256;
    const [fma] = fmaProbe(profile, { out: operand(threads), n: threads, rounds, a: 0.5, b: 0.5 });
    const flopsPerSecond = workOf(fma!).flops / (await secondsOf(gpu, fma!, clock));
    const [from, to] = [operand(copied.at(-1)!), operand(copied.at(-1)!)];
    const copies: { bytes: number; bytesPerSecond: number }[] = [];
    for (const n of copied) {
      const [copy] = elementwise(profile, {
        shape: [n],
        inputs: [{ operand: from, strides: [1] }],
        steps: [],
        outputs: [{ operand: to, value: 0 }],
      });
      const { bytes } = workOf(copy!);
      copies.push({ bytes, bytesPerSecond: bytes / (await secondsOf(gpu, copy!, clock)) });
    }
    return { flopsPerSecond, copies };
  } finally {
    for (const buffer of buffers) gpu.destroyBuffer(buffer);
  }
}

/** Seconds of one run, the best of a few rounds of as many as make the clock's steps small. */
async function secondsOf(gpu: Gpu, call: KernelCall<GPUBuffer>, clock: ProfileClock): Promise<number> {
  const { dispatches, destroy } = await prepareKernels(gpu, [call]);
  const nanosecondsOf = async (times: number) =>
    (await timePasses(gpu, [Array.from({ length: times }, () => dispatches[0]!)], clock))[0]!;
  try {
    await nanosecondsOf(1); // drivers compile on the first dispatch
    let times = 1;
    let best = await nanosecondsOf(times);
    while (best < leastMs * 1e6 && times < 1 << 14) {
      times *= best > 0 ? Math.max(2, Math.min(16, Math.ceil((leastMs * 1e6) / best))) : 16;
      best = await nanosecondsOf(times);
    }
    const end = performance.now() + repeats.milliseconds;
    for (let n = 1; n < repeats.least || performance.now() < end; n++)
      best = Math.min(best, await nanosecondsOf(times));
    return best / times / 1e9;
  } finally {
    destroy();
  }
}
