import type { DeviceProfile, Gpu } from '@lapidary/gpu';
import { choicesOf, deviceKey, tuneKernels, type KernelTuning, type TuneKernelsOptions } from '@lapidary/kernels';
import type { ResolvedTrainConfig } from '../config/train-config.js';
import type { RunLogger } from '../metrics/logger.js';
import type { TrainPlan } from './train-plan.js';

/** The variants that a plan's products use, and the device they were chosen on. Plain data, for checkpoints. */
export type UsedKernels = {
  /** See `deviceKey`. */
  readonly device: string;
  readonly choices: Readonly<Record<string, string>>;
};

export interface TunedPlanOptions extends Pick<TuneKernelsOptions, 'again' | 'signal' | 'store' | 'clock'> {
  readonly mode: ResolvedTrainConfig['kernelTuning'];
  /** Default: `float32`. */
  readonly precision?: ResolvedTrainConfig['matmulPrecision'];
  /** What the run used that goes on: on the same device it is used again, whatever is kept or measured by now. */
  readonly before?: UsedKernels | undefined;
  readonly logger?: Pick<RunLogger, 'onPhase' | 'onNotice'>;
}

export interface TunedPlan<P> {
  readonly plan: P;
  readonly used: UsedKernels;
  /** What was measured; null where nothing was. */
  readonly tuning: KernelTuning | null;
}

/** A plan with the kernels that are fastest on this device, as far as `mode` allows to find out. */
export async function planTuned<P extends TrainPlan>(
  gpu: Gpu,
  make: (profile: DeviceProfile) => P,
  options: TunedPlanOptions,
): Promise<TunedPlan<P>> {
  const { matmulPrecision } = gpu.profile;
  gpu.setMatmulPrecision(options.precision ?? 'float32');
  try {
    return await planNow(gpu, make, options);
  } finally {
    // What else is planned on the caller's device is the caller's.
    gpu.setMatmulPrecision(matmulPrecision ?? 'float32');
  }
}

async function planNow<P extends TrainPlan>(
  gpu: Gpu,
  make: (profile: DeviceProfile) => P,
  { mode, before, logger, ...options }: TunedPlanOptions,
): Promise<TunedPlan<P>> {
  const plan = make(gpu.profile);
  const products = productsOf(plan);
  const device = deviceKey(gpu.profile);
  const usedNow = () => choicesOf(gpu.profile, products);
  const byRule = JSON.stringify(usedNow());
  let tuning: KernelTuning | null = null;
  if (before?.device === device) {
    gpu.chooseVariants(Object.entries(before.choices));
    const changed = changedKernels(before.choices, usedNow());
    if (changed !== undefined) await logger?.onNotice?.(changed);
  } else if (mode === 'always' || (mode === 'auto' && !gpu.profile.adapter.isSoftware)) {
    const notices: string[] = [];
    tuning = await tuneKernels(gpu, products, {
      ...options,
      onProgress: (done, total) => logger?.onPhase?.({ name: 'Choosing kernels', done, total }),
      notice: (message) => notices.push(message),
    });
    for (const notice of notices) await logger?.onNotice?.(notice);
  }
  const choices = usedNow();
  const used = { device, choices };
  return { plan: JSON.stringify(choices) === byRule ? plan : make(gpu.profile), used, tuning };
}

/** What to say where kernels that a run began with are no longer there: results differ in their last digits. */
function changedKernels(before: UsedKernels['choices'], now: UsedKernels['choices']): string | undefined {
  const changed = Object.entries(before).filter(([key, variant]) => now[key] !== undefined && now[key] !== variant);
  const [first] = changed;
  if (first === undefined) return undefined;
  const [key, variant] = first;
  const others = changed.length > 1 ? ` and ${changed.length - 1} other product${changed.length > 2 ? 's' : ''}` : '';
  return `This run began with kernels that are not used here any more (${key} by '${variant}', now '${now[key]}'${others}): it goes on, but its losses may differ in their last digits.`;
}

const productsOf = ({ steps, evals, update }: TrainPlan) =>
  [...steps.values(), ...evals.values(), ...(update ? [update] : [])].flatMap(({ calls }) =>
    calls.flatMap(({ product }) => product ?? []),
  );
