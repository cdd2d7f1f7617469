import { DeviceLostError, type DeviceProfile, type Gpu } from '@lapidary/gpu';
import { Scratch } from '../check/scratch.js';
import { matmul } from '../matmul/matmul.js';
import type { MatmulProduct } from '../matmul/matmul-product.js';
import type { MatmulVariant } from '../matmul/matmul-variant-names.js';
import { prepareKernels, readBuffer, runKernels } from '../run-kernels.js';
import { profileClock, timePasses } from '../time-passes.js';
import { measurable, productOperands } from './product-operands.js';
import type { TuneClock, TunedCandidate, TunedProduct } from './tune-kernels.js';

/** As long as a measurement takes at least, nanoseconds: clocks of browsers tick in tenths of milliseconds. */
const leastNanoseconds = 2e6;
/** Measurements of each candidate. */
const rounds = 5;
/** Part of the rule's time that another variant may take to be chosen instead: what is less may be noise. */
const worthIt = 0.95;

/** Starts all compilations at once: a driver compiles on several cores. Their errors come again where they are looked at. */
export async function compileAhead(gpu: Gpu, profile: DeviceProfile, tuned: readonly TunedProduct[]): Promise<void> {
  const x = { buffer: 0, offset: 0 };
  const calls = tuned.flatMap(({ product, candidates }) => {
    const small = measurable(product);
    const operands = { a: { ...x, dtype: 'f32' as const }, b: { ...x, dtype: product.dtype } };
    return candidates.flatMap(({ variant }) =>
      small === null
        ? []
        : matmul(profile, { ...small, ...operands, out: operands.a, variant, workspace: () => operands.a }),
    );
  });
  await Promise.allSettled(
    calls.map((call) => gpu.pipelines.get({ ...call, access: call.bindings.map(({ access }) => access) })),
  );
}

/** What the device takes, by its timestamps or from outside. */
export function deviceClock(gpu: Gpu): TuneClock {
  const clock = profileClock(gpu);
  return async ({ dispatches, times }) =>
    (await timePasses(gpu, [Array.from({ length: times }, () => dispatches).flat()], clock))[0]!;
}

/** A variant that is ready to be measured. */
interface Runner {
  readonly variant: MatmulVariant;
  readonly run: (times: number) => Promise<number>;
  readonly times: number;
  readonly destroy: () => void;
}

/** The fastest candidate of a product, which comes as it is where nothing was measured: so it stays where nothing can be. */
export async function measure(
  gpu: Gpu,
  profile: DeviceProfile,
  byRule: TunedProduct,
  clock: TuneClock,
  notice: (message: string) => void,
): Promise<TunedProduct> {
  const small = measurable(byRule.product);
  if (small === null) return byRule;
  const scratch = new Scratch(gpu);
  const runners: Runner[] = [];
  try {
    const operands = productOperands(scratch, small);
    const workspace = (bytes: number) => scratch.empty(bytes / 4);
    const nothing = new Uint8Array(operands.out.buffer.size).fill(0xff);
    let right: Float32Array | undefined;
    // Exact ones first: their result is what the others are to come near.
    const variants = byRule.candidates.map(({ variant }) => variant);
    for (const variant of [...variants.filter((v) => !isRounded(v)), ...variants.filter(isRounded)]) {
      try {
        const calls = matmul(profile, { ...small, ...operands, variant, workspace });
        // NaNs, so that what a variant leaves out is not what the one before it wrote.
        gpu.device.queue.writeBuffer(operands.out.buffer, 0, nothing);
        await runKernels(gpu, calls);
        const found = new Float32Array(await readBuffer(gpu, operands.out.buffer));
        right ??= found;
        if (!agree(variant, found, right)) throw new Error('its result differs from that of the others');
        runners.push(await prepare(gpu, small, variant, calls, clock));
      } catch (error) {
        if (error instanceof DeviceLostError) throw error;
        notice(`matmul:${variant} is not used for ${byRule.key}: ${(error as Error).message}`);
      }
    }
    const times = new Map(runners.map(({ variant }) => [variant, [] as number[]]));
    // In turns, so that a noisy moment does not hit one of them alone.
    for (let round = 0; round < rounds; round++) {
      for (const { variant, run, times: n } of runners) times.get(variant)!.push((await run(n)) / n);
    }
    const candidates = byRule.candidates.map(({ variant }) => {
      const measured = times.get(variant);
      return { variant, nanoseconds: measured === undefined ? null : median(measured) };
    });
    return { ...byRule, candidates, ...choose(candidates) };
  } catch (error) {
    if (error instanceof DeviceLostError) throw error;
    notice(`The kernels for ${byRule.key} are chosen by rule: ${(error as Error).message}`);
    return byRule;
  } finally {
    for (const { destroy } of runners) destroy();
    scratch.destroy();
  }
}

const isRounded = (variant: MatmulVariant) => variant.startsWith('half');

/** Exactly, but for what may round values to f16. */
function agree(variant: MatmulVariant, found: Float32Array, right: Float32Array): boolean {
  const largest = right.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const allowed = isRounded(variant) ? 2 ** -9 * largest : 0;
  // Written so that a NaN is a difference.
  return found.every((value, i) => Math.abs(value - right[i]!) <= allowed);
}

/** The fastest candidate, or the first where that is hardly slower. */
function choose(candidates: readonly TunedCandidate[]): Pick<TunedProduct, 'chosen' | 'from'> | undefined {
  const timeOf = ({ nanoseconds }: TunedCandidate) => nanoseconds ?? Infinity;
  const [first] = candidates as [TunedCandidate];
  const fastest = candidates.reduce((best, one) => (timeOf(one) < timeOf(best) ? one : best));
  if (fastest.nanoseconds === null) return undefined;
  return { chosen: timeOf(fastest) < worthIt * timeOf(first) ? fastest.variant : first.variant, from: 'measured' };
}

/** Makes what runs need, and finds how many take long enough to be measured. */
async function prepare(
  gpu: Gpu,
  product: MatmulProduct,
  variant: MatmulVariant,
  calls: Parameters<typeof prepareKernels>[1],
  clock: TuneClock,
): Promise<Runner> {
  const { dispatches, destroy } = await prepareKernels(gpu, calls);
  const run = (times: number) => clock({ product, variant, dispatches, times });
  try {
    let times = 1;
    let nanoseconds = await run(times);
    while (nanoseconds < leastNanoseconds && times < 1024) {
      times *= nanoseconds > 0 ? Math.max(2, Math.min(16, Math.ceil(leastNanoseconds / nanoseconds))) : 16;
      nanoseconds = await run(times);
    }
    return { variant, run, times, destroy };
  } catch (error) {
    destroy();
    throw error;
  }
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1]!;
}
