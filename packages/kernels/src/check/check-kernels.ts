import type { Gpu } from '@lapidary/gpu';

/** A kernel computes wrong numbers on this device and has no other variant: nothing may be computed with it. */
export class KernelCheckError extends Error {
  override readonly name = 'KernelCheckError';
  readonly kernel: string;
  readonly adapter: string;
  /** What differed: which value, what it is and what it should be; or the error that running it ended in. */
  readonly difference: string;

  constructor({ kernel, what, adapter, difference }: Record<'kernel' | 'what' | 'adapter' | 'difference', string>) {
    super(
      `The kernel ${kernel} (${what}) fails its self-test on ${adapter}: ${difference}. Results of this device cannot be ` +
        'trusted. Update the graphics driver or browser, or choose another adapter (openGpu({ adapter }), or ' +
        '{ forceSoftware: true } for the CPU).',
    );
    this.kernel = kernel;
    this.adapter = adapter;
    this.difference = difference;
  }
}

/** What `checkKernels` found. */
export interface KernelCheck {
  /** False where nothing was run: on adapters of the CPU, unless forced. */
  readonly ran: boolean;
  /** Kernels that compute what they should, with the variants used for it. */
  readonly passed: readonly { readonly kernel: string; readonly variants: readonly string[] }[];
  readonly disabled: readonly DisabledVariant[];
}

/** A variant that is now out of use on a device. */
export interface DisabledVariant {
  /** `attentionForward:workgroup`. */
  readonly variantId: string;
  /** As in `KernelCheckError`. */
  readonly difference: string;
  /** All of it in a sentence, as `notice` was told. */
  readonly message: string;
}

/** Options of `checkKernels`. */
export interface CheckKernelsOptions {
  /** Also on adapters that run on the CPU, which are otherwise left out: they are what every test runs on. */
  readonly force?: boolean;
  /** Told of each variant that is taken out of use. Default: `console.warn`. */
  readonly notice?: (message: string) => void;
}

// One check a device: a cache that belongs to the device and goes with it.
const checks = new WeakMap<Gpu, Promise<KernelCheck>>();

/**
 * Runs the kernels on small cases whose results are known, once a device. A variant that fails (wrong numbers, or it does not
 * compile) is taken out of use: kernels planned from `gpu.profile` afterwards choose another. So call it before planning;
 * `Program.create` in @lapidary/tensor calls it too, and refuses plans that were made with a variant that fails.
 * @throws KernelCheckError where a kernel fails that has no other variant; errors of the device.
 */
export function checkKernels(
  gpu: Gpu,
  { force = false, notice = console.warn }: CheckKernelsOptions = {},
): Promise<KernelCheck> {
  if (gpu.profile.adapter.isSoftware && !force) return Promise.resolve({ ran: false, passed: [], disabled: [] });
  let check = checks.get(gpu);
  if (check === undefined) {
    check = runAll(gpu, notice);
    checks.set(gpu, check);
    // What a kernel computes stays wrong; other troubles (memory, a shader of the caller's) may pass.
    check.catch((error: unknown) => {
      if (!(error instanceof KernelCheckError)) checks.delete(gpu);
    });
  }
  return check;
}

/** Cases and what should come of them are loaded when they are run: a page begins without them, adapters of the CPU never need them. */
async function runAll(gpu: Gpu, notice: (message: string) => void): Promise<KernelCheck> {
  const { kernelCases, runKernelCases } = await import('./run-kernel-cases.js');
  return runKernelCases(gpu, kernelCases, notice);
}
