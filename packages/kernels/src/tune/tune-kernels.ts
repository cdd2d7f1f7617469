import type { DeviceProfile, Gpu } from '@lapidary/gpu';
import { openChoiceStore } from '#choice-store';
import { checkKernels } from '../check/check-kernels.js';
import { productKey, type MatmulProduct } from '../matmul/matmul-product.js';
import { chooseMatmulVariant, matmulByRule, matmulCandidates } from '../matmul/matmul-variant.js';
import type { MatmulVariant } from '../matmul/matmul-variant-names.js';
import type { Dispatch } from '../run-kernels.js';
import type { ChoiceStore } from './choice-store.js';
import { deviceKey, keepChoices, readChoices, type KeptChoice } from './kept-choices.js';

export { deviceKey } from './kept-choices.js';

/** Nanoseconds of `times` runs of a product, one after the other. */
export type TuneClock = (run: {
  readonly product: MatmulProduct;
  readonly variant: MatmulVariant;
  readonly dispatches: readonly Dispatch[];
  readonly times: number;
}) => Promise<number>;

/** Options of `tuneKernels`. */
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

/** A variant of a product, and what it took. */
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

/**
 * Measures the variants that each product can have on this device, and chooses the fastest: plans use them that are made from
 * `deriveProfile(profile, { kernelChoices: tuning.choices })`. What was measured before is not measured again. A variant whose result
 * differs from that of the rule's is not chosen.
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
  if (open.length > 0) {
    // Compiling takes a good part of it.
    await onProgress?.(0, open.length);
    // Loaded where it is used, as the self-test is.
    const { compileAhead, deviceClock, measure } = await import('./measure-product.js');
    await compileAhead(gpu, profile, open);
    const fresh = new Map<string, KeptChoice>();
    try {
      for (const [done, { key, product }] of open.entries()) {
        signal?.throwIfAborted();
        if (done > 0) await onProgress?.(done, open.length);
        const clock = options.clock ?? deviceClock(gpu);
        const found = await measure(gpu, profile, known(profile, product, undefined), clock, notice);
        tuned.set(key, found);
        if (found.from === 'measured') fresh.set(key, toKeep(found));
      }
    } finally {
      if (store !== null && fresh.size > 0) await keepChoices(store, device, fresh, notice);
    }
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
