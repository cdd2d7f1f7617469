import { canAllocate, type DeviceProfile, type Gpu } from '@lapidary/gpu';
import type { MachineMemory } from '../machine-memory.js';
import { machineMemory } from '#run-files';
import type { ResolvedTrainConfig } from '../../config/train-config.js';
import { RunTooLargeError } from '../../errors/errors.js';
import { formatBytes } from '../../format/format.js';
import type { TrainPlan } from './plan-programs.js';

/** What is known of whether a run fits. */
export interface Fit {
  /** null: not decided. WebGPU does not tell how much memory a GPU has. */
  readonly fits: boolean | null;
  /** Whether it is certain that the run would fail, and it is refused. */
  readonly refused: boolean;
  /** One sentence or two, with the numbers. */
  readonly reason: string;
  /** What would make the run smaller, the most effective first; fields of the config stand in backticks. */
  readonly advice: readonly string[];
}

/** Compares a plan with the limits of a device and, where it is the CPU, with the machine's memory. */
export function judgeFit(
  { adapter, limits }: DeviceProfile,
  plan: Pick<TrainPlan, 'largestBuffer' | 'totalBytes' | 'memory'>,
  run: Pick<ResolvedTrainConfig, 'gradientCheckpointing' | 'lora' | 'quantize'>,
  machine: MachineMemory | null = machineMemory(),
): Fit {
  const advice = adviceFor(plan, run);
  const total = formatBytes(plan.totalBytes);
  const largest = formatBytes(plan.largestBuffer);
  const limit = formatBytes(limits.maxBufferSize);
  if (plan.largestBuffer > limits.maxBufferSize) {
    const reason = `the largest buffer takes ${largest}, and the device allows ${limit} for one`;
    return { fits: false, refused: true, reason, advice };
  }
  const within = `the largest buffer takes ${largest} of the ${limit} that the device allows for one`;
  if (!adapter.isSoftware || machine === null) {
    const whose = adapter.isSoftware ? 'how much memory the machine has' : 'how much memory a GPU has';
    const reason = `${within}; WebGPU does not tell ${whose}, so whether ${total} together fit is not known`;
    return { fits: null, refused: false, reason, advice };
  }
  const ofMachine = `of the machine's ${formatBytes(machine.total)} of memory ${formatBytes(machine.free)} are free`;
  if (plan.totalBytes > machine.free) {
    const reason = `the run takes ${total}; the device computes on the CPU, and ${ofMachine}`;
    return { fits: false, refused: plan.totalBytes > machine.total, reason, advice };
  }
  const reason = `the run takes ${total}; the device computes on the CPU, and ${ofMachine}; ${within}`;
  return { fits: true, refused: false, reason, advice };
}

/**
 * As `judgeFit`; what that leaves open on a GPU is decided by asking it for the memory, which it gets back at once.
 * @throws DeviceLostError
 */
export async function tryFit(
  gpu: Gpu,
  plan: Parameters<typeof judgeFit>[1],
  run: Parameters<typeof judgeFit>[2],
): Promise<Fit> {
  const judged = judgeFit(gpu.profile, plan, run);
  if (judged.fits !== null || gpu.profile.adapter.isSoftware) return judged;
  const fits = await canAllocate(gpu, plan.totalBytes);
  const total = formatBytes(plan.totalBytes);
  const reason = fits ? `the GPU gave ${total} when asked for it just now` : `the GPU has no ${total} to give just now`;
  return { ...judged, fits, reason };
}

/**
 * Looks at a plan before anything is allocated.
 * @returns what to tell the user where it may become tight; null where there is nothing to tell.
 * @throws RunTooLargeError when the run cannot fit.
 */
export function checkFit(
  profile: DeviceProfile,
  plan: Parameters<typeof judgeFit>[1],
  run: Parameters<typeof judgeFit>[2],
  machine?: MachineMemory | null,
): string | null {
  const { fits, refused, reason, advice } = judgeFit(profile, plan, run, machine);
  if (refused) throw new RunTooLargeError({ reason, advice, bytes: plan.totalBytes });
  return fits === false ? `The machine may swap or end the run: ${reason}.` : null;
}

/** What would make a run smaller, the most effective first; fields of the config stand in backticks. */
export function adviceFor(
  { memory }: Pick<TrainPlan, 'memory'>,
  { gradientCheckpointing, lora, quantize }: Pick<ResolvedTrainConfig, 'gradientCheckpointing' | 'lora' | 'quantize'>,
): string[] {
  const bytes = (category: RegExp) => memory.find((m) => category.test(m.category))?.bytes ?? 0;
  const advice: [number, string][] = [
    [gradientCheckpointing ? 0 : bytes(/Activations/), 'gradient checkpointing (`gradientCheckpointing`)'],
    [
      bytes(/Activations/) / 2,
      'shorter rows (`maxLength`) or fewer of them at a time (`batchSize`) with gradient accumulation (`gradientAccumulation`)',
    ],
    [
      quantize === null ? bytes(/Weights/) / 2 : 0,
      lora
        ? 'a base that is quantised while it is read (`quantize`), where it is not quantised yet and its rows are whole blocks'
        : 'a quantised base model (a .gguf file)',
    ],
    [bytes(/Samples/), 'shorter answers in samples (`sampleTokens`), or none (`sampleCount` 0)'],
    [bytes(/Optimiser/), lora ? 'a smaller LoRA rank (`lora.rank`)' : 'a LoRA instead of full fine-tuning'],
  ];
  return advice
    .filter(([gain]) => gain > 0)
    .sort((a, b) => b[0] - a[0])
    .map(([, text]) => text);
}
