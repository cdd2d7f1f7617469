import { DeviceLostError, type DeviceProfile, type Gpu } from '@lapidary/gpu';
import { openChoiceStore } from '#choice-store';
import { checkKernels } from '../check/check-kernels.js';
import { Scratch } from '../check/scratch.js';
import { matmul } from '../matmul/matmul.js';
import {
  chooseMatmulVariant,
  matmulByRule,
  matmulCandidates,
  productKey,
  type MatmulProduct,
  type MatmulVariant,
} from '../matmul/matmul-variant.js';
import { prepareKernels, readBuffer, runKernels, type Dispatch } from '../run-kernels.js';
import { profileClock, timePasses } from '../time-passes.js';
import type { ChoiceStore } from './choice-store.js';
import { deviceKey, keepChoices, readChoices, type KeptChoice } from './kept-choices.js';
import { measurable, productOperands } from './product-operands.js';

export { deviceKey } from './kept-choices.js';

/** Nanoseconds of `times` runs of a product, one after the other. */
export type TuneClock = (run: {
  readonly product: MatmulProduct;
  readonly variant: MatmulVariant;
  readonly dispatches: readonly Dispatch[];
  readonly times: number;
}) => Promise<number>;

export interface TuneKernelsOptions {
  /** What plans will be made from. Default: the device's profile. */
  readonly profile?: DeviceProfile;
  /** Where choices are kept; null: nowhere. Default: `~/.cache/lapidary/kernels` in Node, IndexedDB in browsers. */
  readonly store?: ChoiceStore | null;
  /** Measures also what is kept already. */
  readonly again?: boolean;
  /** Told what cannot be kept or used. Default: `console.warn`. */
  readonly notice?: (message: string) => void;
  /** Called before each product that is measured, with how many there are. */
  readonly onProgress?: (done: number, total: number) => unknown;
  readonly signal?: AbortSignal;
  /** Default: timestamps of the GPU, or the host's clock where it has none. */
  readonly clock?: TuneClock;
}

export interface TunedCandidate {
  readonly variant: MatmulVariant;
  /** Of one run; null where it was not measured or cannot be used. */
  readonly nanoseconds: number | null;
}

/** A product and what was chosen for it. */
export interface TunedProduct {
  /** See `productKey`. */
  readonly key: string;
  readonly product: MatmulProduct;
  readonly chosen: MatmulVariant;
  /** What is taken where nothing was measured. */
  readonly byRule: MatmulVariant;
  /** `kept`: measured before. `rule`: there is one candidate only, or the product cannot be measured. */
  readonly from: 'measured' | 'kept' | 'rule';
  readonly candidates: readonly TunedCandidate[];
}

/** What `tuneKernels` found. Plain data. */
export interface KernelTuning {
  /** See `deviceKey`. */
  readonly device: string;
  /** Where the choices are kept, for people; null: nowhere. */
  readonly keptIn: string | null;
  readonly products: readonly TunedProduct[];
  /** What was chosen otherwise than by rule: plans use it whose profile has them as `kernelChoices`, see `deriveProfile`. */
  readonly choices: readonly (readonly [key: string, variant: MatmulVariant])[];
}

/** As long as a measurement takes at least, nanoseconds: clocks of browsers tick in tenths of milliseconds. */
const leastNanoseconds = 2e6;
/** Measurements of each candidate. */
const rounds = 5;
/** Part of the rule's time that another variant may take to be chosen instead: what is less may be noise. */
const worthIt = 0.95;

/**
 * Measures the variants that each product can have on this device, and chooses the fastest: plans use them that are made from
 * `deriveProfile(profile, { kernelChoices: tuning.choices })`. What was measured before is not measured again. A variant whose result differs from that of the rule's is not chosen.
 * Takes up to 128 MiB on the device, and twice that beside it, that are given back.
 * @param products those of a plan: `product` of its kernel calls. Repeated ones count once.
 * @throws KernelCheckError; DeviceLostError; AbortError.
 */
export async function tuneKernels(
  gpu: Gpu,
  products: Iterable<MatmulProduct>,
  options: TuneKernelsOptions = {},
): Promise<KernelTuning> {
  const { store = openChoiceStore(), again = false, notice = console.warn, onProgress, signal } = options;
  await checkKernels(gpu, { notice });
  const { profile = gpu.profile } = options;
  const device = deviceKey(profile);
  const kept = store === null || again ? new Map<string, KeptChoice>() : await readChoices(store, device, notice);
  const distinct = new Map([...products].map((product) => [productKey(product), product]));
  const tuned = new Map<string, TunedProduct>();
  for (const [key, product] of distinct) tuned.set(key, known(profile, product, kept.get(key)));
  const open = [...tuned.values()].filter(({ from, candidates }) => from === 'rule' && candidates.length > 1);
  // Compiling takes a good part of it.
  if (open.length > 0) await onProgress?.(0, open.length);
  await compileAhead(gpu, profile, open);

  const fresh = new Map<string, KeptChoice>();
  try {
    for (const [done, { key, product }] of open.entries()) {
      signal?.throwIfAborted();
      if (done > 0) await onProgress?.(done, open.length);
      const found = await measure(gpu, profile, product, options.clock ?? deviceClock(gpu), notice);
      tuned.set(key, found);
      if (found.from === 'measured') fresh.set(key, toKeep(found));
    }
  } finally {
    if (store !== null && fresh.size > 0) await keepChoices(store, device, fresh, notice);
  }
  const all = [...tuned.values()];
  const choices = all.filter(({ from }) => from !== 'rule').map(({ key, chosen }) => [key, chosen] as const);
  return { device, keptIn: store?.location ?? null, products: all, choices };
}

/** What plans made from a profile use for products, in the form of `DeviceProfile.kernelChoices`: for another plan to use the same. */
export function choicesOf(profile: DeviceProfile, products: Iterable<MatmulProduct>): Record<string, MatmulVariant> {
  return Object.fromEntries(
    [...products].map((product) => [productKey(product), chooseMatmulVariant(profile, product)]),
  );
}

/** A product before anything is measured: with what is kept of it, if that can be used. */
function known(profile: DeviceProfile, product: MatmulProduct, kept: KeptChoice | undefined): TunedProduct {
  const variants = matmulCandidates(profile, product);
  const byRule = matmulByRule(profile, product);
  const chosen = variants.find((variant) => variant === kept?.variant);
  return {
    key: productKey(product),
    product,
    chosen: chosen ?? byRule,
    byRule,
    from: chosen === undefined ? 'rule' : 'kept',
    candidates: variants.map((variant) => ({ variant, nanoseconds: kept?.nanoseconds[variant] ?? null })),
  };
}

function toKeep({ chosen, candidates }: TunedProduct): KeptChoice {
  const times = candidates.flatMap(({ variant, nanoseconds }) =>
    nanoseconds === null ? [] : [[variant, nanoseconds]],
  );
  return { variant: chosen, nanoseconds: Object.fromEntries(times) as Record<string, number> };
}

/** Starts all compilations at once: a driver compiles on several cores. Their errors come again where they are looked at. */
async function compileAhead(gpu: Gpu, profile: DeviceProfile, tuned: readonly TunedProduct[]): Promise<void> {
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

function deviceClock(gpu: Gpu): TuneClock {
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

async function measure(
  gpu: Gpu,
  profile: DeviceProfile,
  product: MatmulProduct,
  clock: TuneClock,
  notice: (message: string) => void,
): Promise<TunedProduct> {
  const byRule = known(profile, product, undefined);
  const small = measurable(product);
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
