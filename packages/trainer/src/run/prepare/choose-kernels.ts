import { deriveProfile, type DeviceProfile, type Gpu } from '@lapidary/gpu';
import { choicesOf, deviceKey, tuneKernels, type KernelTuning, type TuneKernelsOptions } from '@lapidary/kernels';
import type { ProgramPlan } from '@lapidary/tensor';
import type { ResolvedTrainConfig } from '../../config/train-config.js';
import type { RunLogger } from '../../metrics/logger.js';

/** The variants that a plan's products use, and the device they were chosen on. Plain data, for checkpoints. */
export type UsedKernels = {
  /** See `deviceKey`. */
  readonly device: string;
  readonly choices: Readonly<Record<string, string>>;
};

export interface ChooseKernelsOptions extends Pick<TuneKernelsOptions, 'again' | 'signal' | 'store' | 'clock'> {
  readonly mode: ResolvedTrainConfig['kernelTuning'];
  /** Default: `float32`. */
  readonly precision?: ResolvedTrainConfig['matmulPrecision'];
  /** What the run used that goes on: on the same device it is used again, whatever is kept or measured by now. */
  readonly before?: UsedKernels | undefined;
  readonly logger?: Pick<RunLogger, 'onPhase' | 'onNotice'>;
}

export interface ChosenKernels<P> {
  readonly plan: P;
  /** What the plan was made from, and what else is planned for the run is to be made from. */
  readonly profile: DeviceProfile;
  readonly used: UsedKernels;
  /** What was measured; null where nothing was. */
  readonly tuning: KernelTuning | null;
}

/**
 * A plan with the kernels that are fastest on this device, as far as `mode` allows to find out. The device's own profile stays as it
 * is: others may plan at the same time.
 */
export async function chooseKernels<P>(
  gpu: Gpu,
  make: (profile: DeviceProfile) => P,
  programsOf: (plan: P) => readonly ProgramPlan[],
  { mode, precision = 'float32', before, logger, ...options }: ChooseKernelsOptions,
): Promise<ChosenKernels<P>> {
  const byRule = deriveProfile(gpu.profile, { matmulPrecision: precision });
  const plan = make(byRule);
  const products = programsOf(plan).flatMap(({ calls }) => calls.flatMap(({ product }) => product ?? []));
  const device = deviceKey(byRule);
  const choicesWith = (profile: DeviceProfile) => choicesOf(profile, products);
  let profile = byRule;
  if (before !== undefined && before.device !== device)
    await logger?.onNotice?.(
      `This run was on another device before (${before.device}); it goes on here (${device}), but its losses may differ in their last digits.`,
    );
  let tuning: KernelTuning | null = null;
  if (before?.device === device) {
    profile = deriveProfile(byRule, { kernelChoices: Object.entries(before.choices) });
    const changed = changedKernels(before.choices, choicesWith(profile));
    if (changed !== undefined) await logger?.onNotice?.(changed);
  } else if (mode === 'always' || (mode === 'auto' && !gpu.profile.adapter.isSoftware)) {
    const notices: string[] = [];
    tuning = await tuneKernels(gpu, products, {
      ...options,
      profile: byRule,
      onProgress: (done, total) => logger?.onPhase?.({ name: 'Choosing kernels', done, total }),
      notice: (message) => notices.push(message),
    });
    for (const notice of notices) await logger?.onNotice?.(notice);
    profile = deriveProfile(byRule, { kernelChoices: tuning.choices });
  }
  const choices = choicesWith(profile);
  const isByRule = JSON.stringify(choices) === JSON.stringify(choicesWith(byRule));
  return { plan: isByRule ? plan : make(profile), profile, used: { device, choices }, tuning };
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
