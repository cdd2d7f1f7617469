import type { DeviceProfile } from '@lapidary/gpu';
import { sharedInputBytes, sharedSlotBytes, type ProgramPlan } from '@lapidary/tensor';
import type { BatchShape, JointLoss } from '../../objectives/objective.js';
import type { MemoryEntry } from '../../metrics/run-records.js';
import { readBackBytes } from '../read-pieces.js';
import {
  planJoin,
  planJointStep,
  planOutputs,
  type JoinPlan,
  type JointStepPlan,
  type OutputsPlan,
} from './joint-programs.js';
import type { ModelPlan } from './plan-model.js';
import {
  keptOf,
  planEval,
  planMicroStep,
  planStep,
  planUpdate,
  type EvalPlan,
  type MicroStepPlan,
  type StepPlan,
  type UpdatePlan,
} from './programs.js';

/**
 * How a run's steps are taken: in one program, or as micro-batches whose gradients are summed, and an update; those of a joint loss twice, with
 * the loss between.
 */
export type StepPrograms =
  | { readonly kind: 'whole'; readonly steps: ReadonlyMap<string, StepPlan>; readonly joint?: JointLoss }
  | { readonly kind: 'micro'; readonly steps: ReadonlyMap<string, MicroStepPlan>; readonly update: UpdatePlan }
  | {
      readonly kind: 'joint';
      readonly joint: JointLoss;
      readonly microBatches: number;
      readonly outputs: ReadonlyMap<string, OutputsPlan>;
      readonly join: JoinPlan;
      readonly steps: ReadonlyMap<string, JointStepPlan>;
      readonly update: UpdatePlan;
    };

/** How losses are measured without learning: batch by batch, or of what a joint loss takes of all of them. */
export type EvalPrograms =
  | { readonly kind: 'losses'; readonly steps: ReadonlyMap<string, EvalPlan> }
  | {
      readonly kind: 'outputs';
      readonly joint: JointLoss;
      readonly microBatches: number;
      readonly steps: ReadonlyMap<string, OutputsPlan>;
    };

/** No evaluations. */
export const noEvals: EvalPrograms = { kind: 'losses', steps: new Map() };

/** Every program of a run, traced and planned: nothing is on the device yet. Programs of batches go by `shapeKey`. */
export interface TrainPlan {
  readonly training: StepPrograms;
  readonly evals: EvalPrograms;
  readonly memory: readonly MemoryEntry[];
  /** What training holds on the device at the same time, bytes. */
  readonly totalBytes: number;
  /** The part of `totalBytes` that outlives the programs: parameters and optimiser state. */
  readonly modelBytes: number;
  /** Beside all that while a checkpoint is written, bytes. */
  readonly readBackBytes: number;
  readonly largestBuffer: number;
}

/** What the programs of a shape go by. */
export const shapeKey = (shape: BatchShape): string =>
  Object.entries(shape)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, size]) => `${name} ${size}`)
    .join(', ');

/** All programs of a plan. */
export function programsOf({ training, evals }: Pick<TrainPlan, 'training' | 'evals'>): ProgramPlan[] {
  const others: ProgramPlan[] =
    training.kind === 'whole'
      ? []
      : training.kind === 'micro'
        ? [training.update]
        : [...training.outputs.values(), training.join, training.update];
  return [...training.steps.values(), ...evals.steps.values(), ...others];
}

export interface RunShapes {
  readonly train: readonly BatchShape[];
  /** Of rows whose losses are measured without learning. */
  readonly measured: readonly BatchShape[];
  /** Micro-batches of a step. */
  readonly microBatches: number;
}

/** Plans a run's programs and adds up their memory; temporaries and inputs are shared by all of them. */
export function planTraining(
  profile: DeviceProfile,
  model: ModelPlan,
  { train, measured, microBatches }: RunShapes,
): TrainPlan {
  const { step } = model;
  const each = <P>(shapes: readonly BatchShape[], plan: (shape: BatchShape) => P) =>
    new Map(shapes.map((shape) => [shapeKey(shape), plan(shape)]));
  const { joint } = step.task;
  const outputs = (shapes: readonly BatchShape[], of: JointLoss, training: boolean) =>
    each(shapes, (shape) => planOutputs(profile, step, of, { shape, training }));
  const training: StepPrograms =
    microBatches === 1
      ? { kind: 'whole', steps: each(train, (shape) => planStep(profile, step, shape)), ...(joint && { joint }) }
      : joint === undefined
        ? {
            kind: 'micro',
            steps: each(train, (shape) => planMicroStep(profile, step, shape)),
            update: planUpdate(profile, step),
          }
        : {
            kind: 'joint',
            joint,
            microBatches,
            outputs: outputs(train, joint, true),
            join: planJoin(profile, joint, train[0]!, microBatches),
            steps: each(train, (shape) => planJointStep(profile, step, joint, shape)),
            update: planUpdate(profile, step),
          };
  const evals: EvalPrograms =
    joint === undefined
      ? { kind: 'losses', steps: each(measured, (shape) => planEval(profile, step, shape)) }
      : { kind: 'outputs', joint, microBatches, steps: outputs(measured, joint, false) };
  const plans = programsOf({ training, evals });
  const sum = (values: Iterable<number>) => [...values].reduce((a, b) => a + b, 0);
  const category = (name: string, isWanted = (_: string) => true) =>
    sum([...model.variables].filter(([path, v]) => v.category === name && isWanted(path)).map(([, v]) => v.bytes));
  const isQuantised = (path: string) =>
    model.base.has(path) && model.base.get(path)!.dtype !== model.variables.get(path)!.type.dtype;
  const quantised = category('weights', isQuantised);
  const optimizer = sum(step.trained.flatMap(keptOf).map(({ bytes }) => bytes));
  const temporaries = sum(sharedSlotBytes(plans));
  const readBack = readBackBytes(step.trained.flatMap((trained) => [trained.param, ...keptOf(trained)]));
  const inputs = sum(sharedInputBytes(plans).values());
  const inOut = inputs + sum(plans.map(({ memory }) => memory.outputs + memory.overhead));
  const memory = [
    { category: 'Weights, as published', bytes: category('weights') - quantised },
    ...(quantised > 0 ? [{ category: 'Weights, quantised', bytes: quantised }] : []),
    { category: 'Trained parameters', bytes: category('trainable') },
    { category: 'Optimiser state', bytes: optimizer },
    { category: 'Activations, gradients and workspace', bytes: temporaries },
    { category: 'Inputs, outputs and constants', bytes: inOut },
  ];
  const modelBytes = category('weights') + category('trainable') + optimizer;
  const largestBuffer = Math.max(...plans.map((plan) => plan.memory.largestBuffer));
  const totalBytes = sum(memory.map(({ bytes }) => bytes));
  return { training, evals, memory, totalBytes, modelBytes, readBackBytes: readBack, largestBuffer };
}
