import type { DeviceProfile } from '@lapidary/gpu';
import {
  gradients,
  mul,
  sum,
  TensorLike,
  trace,
  type InputsOf,
  type InputTypes,
  type ProgramPlan,
} from '@lapidary/tensor';
import type { BatchShape, JointLoss } from '../../objectives/objective.js';
import {
  contextOf,
  gradientsOf,
  meansOf,
  seedType,
  summed,
  weightType,
  type KeepInput,
  type LossOutput,
  type SeedInput,
  type StepModel,
  type WeightInput,
} from './programs.js';

// Programs of a loss of all rows of a step at once; see `JointLoss`.

/** What a joint loss takes of a micro-batch. */
export type OutputsPlan = ProgramPlan<InputTypes & SeedInput, 'outputs'>;
/** The loss of all, and the gradient of what it takes. */
export type JoinPlan = ProgramPlan<
  InputTypes & WeightInput & { readonly outputs: TensorLike },
  LossOutput | 'gradient'
>;
/** One micro-batch again, with the gradient of its outputs. */
export type JointStepPlan = ProgramPlan<
  InputTypes & SeedInput & KeepInput & { readonly gradient: TensorLike },
  'applied'
>;

/** The outputs of a micro-batch: as they are trained, or of the averages, where they are kept. */
export function planOutputs(
  profile: DeviceProfile,
  step: StepModel,
  joint: JointLoss,
  { shape, training }: { readonly shape: BatchShape; readonly training: boolean },
): OutputsPlan {
  const types = { ...step.task.types(shape), ...(training && seedType(step)) };
  const build = ({ seed, ...batch }: InputsOf<InputTypes & SeedInput>) => ({
    outputs: { outputs: joint.outputs(batch, contextOf(step, seed, training)) },
  });
  return trace(profile, build, types).plan as OutputsPlan;
}

/** The loss of the outputs of `count` micro-batches. */
export function planJoin(profile: DeviceProfile, joint: JointLoss, shape: BatchShape, count: number): JoinPlan {
  const types = {
    ...joint.types(shape, count),
    ...weightType(),
    outputs: new TensorLike('f32', [count, ...joint.outputShape(shape)]),
  };
  const build = ({ outputs, weight, ...inputs }: InputsOf<typeof types>) => {
    const losses = meansOf(joint.loss(outputs, inputs), weight);
    const [gradient] = gradients(losses.loss, [outputs]);
    if (gradient === undefined) throw new RangeError('the loss does not depend on its outputs');
    return { outputs: { ...losses, gradient } };
  };
  return trace(profile, build, types).plan as JoinPlan;
}

/** Forward and backward of a micro-batch whose outputs have a gradient; as `planMicroStep`. */
export function planJointStep(
  profile: DeviceProfile,
  step: StepModel,
  joint: JointLoss,
  shape: BatchShape,
): JointStepPlan {
  const types = {
    ...step.task.types(shape),
    ...seedType(step),
    keep: new TensorLike('f32', [1]),
    gradient: new TensorLike('f32', joint.outputShape(shape)),
  };
  const build = ({ keep, gradient, seed, ...batch }: InputsOf<InputTypes & SeedInput & typeof types>) => {
    const applied = sum(mul(joint.outputs(batch, contextOf(step, seed, true)), gradient));
    return { outputs: { applied }, updates: summed(step, gradientsOf(step, applied), keep) };
  };
  return trace(profile, build, types).plan as JointStepPlan;
}
