import type { DeviceProfile } from '@lapidary/gpu';
import { sharedSlotBytes, type ProgramPlan } from '@lapidary/tensor';
import type { MemoryEntry } from '../metrics/run-records.js';
import type { ModelPlan } from './setup-model.js';
import { planEval, planMicroStep, planStep, planUpdate, type BatchShape } from './train-programs.js';

/** Every program of a run, traced and planned: nothing is on the device yet. */
export interface TrainPlan {
  /** For each batch length. */
  readonly steps: ReadonlyMap<number, ProgramPlan>;
  readonly evals: ReadonlyMap<number, ProgramPlan>;
  /** With gradient accumulation: AdamW on the sums. */
  readonly update: ProgramPlan | undefined;
  readonly memory: readonly MemoryEntry[];
  /** What training holds on the device at the same time, bytes. */
  readonly totalBytes: number;
  /** The part of `totalBytes` that outlives the programs: parameters and optimiser state. */
  readonly modelBytes: number;
  readonly largestBuffer: number;
}

/** Plans a run's programs and adds up their memory; temporaries are shared by all of them. */
export function planTraining(
  profile: DeviceProfile,
  model: ModelPlan,
  { train, held, accumulate }: { train: readonly BatchShape[]; held: readonly BatchShape[]; accumulate: boolean },
): TrainPlan {
  const steps = new Map(
    train.map((shape) => [
      shape.length,
      accumulate ? planMicroStep(profile, model.step, shape) : planStep(profile, model.step, shape),
    ]),
  );
  const evals = new Map(held.map((shape) => [shape.length, planEval(profile, model.step, shape)]));
  const update = accumulate ? planUpdate(profile, model.step) : undefined;
  const plans = [...steps.values(), ...evals.values(), ...(update ? [update] : [])];
  const sum = (values: Iterable<number>) => [...values].reduce((a, b) => a + b, 0);
  const category = (name: string) =>
    sum([...model.variables.values()].filter((v) => v.category === name).map((v) => v.bytes));
  const optimizer = sum(model.step.trained.flatMap(({ m, v, sum: s }) => [m.bytes, v.bytes, s?.bytes ?? 0]));
  const temporaries = sum(sharedSlotBytes(plans));
  const inOut = sum(plans.map(({ memory }) => memory.inputs + memory.outputs + memory.overhead));
  const memory = [
    { category: 'Weights, as published', bytes: category('weights') },
    { category: 'Trained parameters', bytes: category('trainable') },
    { category: 'Optimiser state', bytes: optimizer },
    { category: 'Activations, gradients and workspace', bytes: temporaries },
    { category: 'Inputs, outputs and constants', bytes: inOut },
  ];
  const modelBytes = memory[0]!.bytes + memory[1]!.bytes + memory[2]!.bytes;
  return {
    steps,
    evals,
    update,
    memory,
    modelBytes,
    totalBytes: sum(memory.map((m) => m.bytes)),
    largestBuffer: Math.max(...plans.map((p) => p.memory.largestBuffer)),
  };
}
