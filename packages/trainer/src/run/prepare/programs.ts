import type { ForwardOptions, Model, ParamTree } from '@lapidary/gemma';
import type { DeviceProfile } from '@lapidary/gpu';
import {
  add,
  gradients,
  mul,
  reshape,
  sumOfSquares,
  TensorLike,
  trace,
  Variable,
  where,
  type InputsOf,
  type InputTypes,
  type Program,
  type ProgramPlan,
  type Tensor,
  type Update,
} from '@lapidary/tensor';
import type { BatchShape, Loss, LossContext, Task } from '../../objectives/objective.js';
import { ema } from '../../optimizers/ema.js';
import type { Optimizer } from '../../optimizers/optimizer.js';

/** One trained parameter with what training keeps of it, f32 of its shape unless the optimiser says another. */
export interface Trained {
  readonly path: string;
  readonly param: Variable;
  /** Of the optimiser, by name. */
  readonly state: Readonly<Record<string, Variable>>;
  /** Sum of gradients over micro-batches; only with gradient accumulation. */
  readonly sum: Variable | undefined;
  /** Average of the parameter over steps; only where a run keeps averages. */
  readonly average: Variable | undefined;
  /** What the learning rate and the weight decay are multiplied by. */
  readonly scale: { readonly learningRate: number; readonly weightDecay: number };
}

/** An optimiser with the settings of a run. */
export interface ChosenOptimizer {
  readonly optimizer: Optimizer;
  readonly settings: object;
}

/** What training keeps of each parameter. */
export interface PlanTrainedOptions extends ChosenOptimizer {
  /** Whether gradients of several micro-batches are summed. Default false. */
  readonly accumulate?: boolean;
  /** Whether averages are kept. Default false. */
  readonly averages?: boolean;
  readonly scaleOf?: (path: string) => Trained['scale'];
}

/** What training keeps of parameters, abstract until allocated. */
export function planTrained(
  params: ReadonlyMap<string, Variable>,
  { optimizer, settings, accumulate = false, averages = false, scaleOf }: PlanTrainedOptions,
): Trained[] {
  return [...params].map(([path, param]) => {
    const variable = (kind: string, shape = param.type.shape) =>
      new Variable(`${path} ${kind}`, { shape, dtype: 'f32' }, 'optimizer');
    const shapes = Object.entries(optimizer.state(param.type.shape, settings));
    return {
      path,
      param,
      state: Object.fromEntries(shapes.map(([name, shape]) => [name, variable(name, shape)])),
      sum: accumulate ? variable('gradient') : undefined,
      average: averages ? variable('average') : undefined,
      scale: scaleOf?.(path) ?? { learningRate: 1, weightDecay: 1 },
    };
  });
}

/** Everything on the device that belongs to a trained parameter beside itself. */
export function keptOf({ state, sum, average }: Trained): Variable[] {
  return [...Object.values(state), ...(sum ? [sum] : []), ...(average ? [average] : [])];
}

/** What the programs of a run are made of. */
export interface StepModel extends ChosenOptimizer {
  readonly model: Model;
  readonly task: Pick<Task, 'types' | 'loss' | 'joint'>;
  readonly params: ParamTree;
  /** `params` with averages in the place of what is trained. Default: `params`. */
  readonly evaluated?: ParamTree;
  /** `params` without adapters: the model as it was. Only where adapters are all that is trained. */
  readonly reference?: ParamTree;
  readonly trained: readonly Trained[];
  readonly options: Omit<ForwardOptions, 'loraDropout' | 'cache'> & { readonly loraDropout?: number };
  /** Of the averages; see `TrainConfig.emaDecay`. */
  readonly emaDecay?: number;
}

const f32 = (...shape: number[]) => new TensorLike('f32', shape);

export type WeightInput = {
  /** f32 [1]: what sums over a batch are multiplied by: 1 / weight of all batches of the step. */
  readonly weight: TensorLike;
};
export type SeedInput = {
  /** i32 [1]: of the step's dropout; only with dropout. */
  readonly seed?: TensorLike;
};
type HyperInput = {
  /** f32 [n]: see `hyperInput`. */
  readonly hyper: TensorLike;
};
export type KeepInput = {
  /** f32 [1]: 0 where sums of gradients begin anew. */
  readonly keep: TensorLike;
};
/** Outputs are f32 scalars; `metrics.…` are those that the objective names. */
export type LossOutput = 'loss' | `metrics.${string}`;
type StepOutput = LossOutput | 'gradNormSquared';

/** A whole optimiser step; see `planStep`. */
export type StepPlan = ProgramPlan<InputTypes & WeightInput & SeedInput & HyperInput, StepOutput>;
/** One micro-batch of a step; see `planMicroStep`. */
export type MicroStepPlan = ProgramPlan<InputTypes & WeightInput & SeedInput & KeepInput, LossOutput>;
/** The update after micro-batches; see `planUpdate`. */
export type UpdatePlan = ProgramPlan<HyperInput, 'gradNormSquared'>;
/** An evaluation; see `planEval`. */
export type EvalPlan = ProgramPlan<InputTypes & WeightInput, LossOutput>;

/** A program on the device that was made from a plan. */
export type Made<P> = P extends ProgramPlan<infer T, infer O> ? Program<T, O> : never;
/** A `StepPlan` on the device. */
export type StepProgram = Made<StepPlan>;

export const weightType = (): WeightInput => ({ weight: f32(1) });
export const seedType = ({ options }: StepModel): SeedInput =>
  options.loraDropout ? { seed: new TensorLike('i32', [1]) } : {};
const hyperType = ({ optimizer }: StepModel): HyperInput => ({ hyper: f32(optimizer.hyperNames.length) });

/** What losses are computed with, with the seed of a dropout. */
export function contextOf(step: StepModel, seed: Tensor | undefined, training: boolean): LossContext {
  const { model, params, evaluated = params, reference } = step;
  const { loraDropout, ...options } = step.options;
  return {
    model,
    params: training ? params : evaluated,
    ...(reference && { reference }),
    options: { ...options, ...(training && loraDropout && seed ? { loraDropout: { rate: loraDropout, seed } } : {}) },
    training,
  };
}

/** Sums over a batch as means. */
export function meansOf(
  { loss, metrics = {} }: Loss,
  weight: Tensor,
): { loss: Tensor; metrics: Record<string, Tensor> } {
  const mean = (sum: Tensor) => reshape(mul(sum, weight), []);
  return {
    loss: mean(loss),
    metrics: Object.fromEntries(Object.entries(metrics).map(([name, sum]) => [name, mean(sum)])),
  };
}

function lossesOf(step: StepModel, inputs: InputsOf<InputTypes & WeightInput & SeedInput>, training: boolean) {
  const { weight, seed, ...batch } = inputs;
  return meansOf(step.task.loss(batch, contextOf(step, seed, training)), weight);
}

/** Types of the inputs of a batch that is a step of its own, or a micro-batch of it. */
const typesOfBatch = ({ task }: StepModel, shape: BatchShape): InputTypes => ({
  ...task.types(shape),
  ...task.joint?.types(shape, 1),
});

export function gradientsOf({ trained }: StepModel, loss: Tensor): Tensor[] {
  return gradients(
    loss,
    trained.map((t) => t.param.tensor),
  ).map((grad, i) => {
    if (grad === undefined) throw new RangeError(`the loss does not depend on '${trained[i]!.path}'`);
    return grad;
  });
}

function optimise({ trained, optimizer, settings, emaDecay }: StepModel, grads: readonly Tensor[], hyper: Tensor) {
  const gradNormSquared = sumOfSquares(grads);
  const updates = trained.flatMap(({ param, state, average, scale }, i): Update[] => {
    const tensors = Object.fromEntries(Object.entries(state).map(([name, { tensor }]) => [name, tensor]));
    const made = optimizer.update({
      param: param.tensor,
      grad: grads[i]!,
      state: tensors,
      hyper,
      gradNormSquared,
      settings,
      scale,
    });
    if (average && emaDecay === undefined)
      throw new RangeError(`'${trained[i]!.path}' has an average, but there is no emaDecay`);
    return [
      { variable: param, value: made.param },
      ...Object.entries(state).map(([name, variable]) => ({ variable, value: made.state[name]! })),
      ...(average && emaDecay !== undefined
        ? [{ variable: average, value: ema(average.tensor, made.param, emaDecay) }]
        : []),
    ];
  });
  return { gradNormSquared, updates };
}

/** Forward, backward and update in one program, for batches of one shape. @throws RangeError for a parameter the loss does not depend on */
export function planStep<S extends BatchShape>(profile: DeviceProfile, step: StepModel, shape: S): StepPlan {
  const types = { ...typesOfBatch(step, shape), ...weightType(), ...seedType(step), ...hyperType(step) };
  const build = (inputs: InputsOf<typeof types>) => {
    const losses = lossesOf(step, withoutHyper(inputs), true);
    const { gradNormSquared, updates } = optimise(step, gradientsOf(step, losses.loss), inputs.hyper);
    return { outputs: { ...losses, gradNormSquared }, updates };
  };
  return trace(profile, build, types).plan as StepPlan;
}

/**
 * Forward and backward of one micro-batch; its gradients are added to the sums, or begin them where input `keep` is 0.
 * @throws RangeError where gradients are not accumulated (`planTrained`), or for a parameter the loss does not depend on
 */
export function planMicroStep<S extends BatchShape>(profile: DeviceProfile, step: StepModel, shape: S): MicroStepPlan {
  const types = { ...typesOfBatch(step, shape), ...weightType(), ...seedType(step), keep: f32(1) };
  const build = ({ keep, ...inputs }: InputsOf<typeof types>) => {
    const losses = lossesOf(step, inputs, true);
    return { outputs: losses, updates: summed(step, gradientsOf(step, losses.loss), keep) };
  };
  return trace(profile, build, types).plan as MicroStepPlan;
}

/** Gradients added to the sums, or in their place where `keep` is 0. */
export const summed = ({ trained }: StepModel, grads: readonly Tensor[], keep: Tensor): Update[] =>
  trained.map((each, i) => {
    const sum = sumOf(each);
    return { variable: sum, value: where(keep, add(grads[i]!, sum.tensor), grads[i]!) };
  });

/** The optimiser's update by the summed gradients. @throws RangeError where they are not accumulated (`planTrained`) */
export function planUpdate(profile: DeviceProfile, step: StepModel): UpdatePlan {
  const build = ({ hyper }: InputsOf<HyperInput>) => {
    const sums = step.trained.map((trained) => sumOf(trained).tensor);
    const { gradNormSquared, updates } = optimise(step, sums, hyper);
    return { outputs: { gradNormSquared }, updates };
  };
  return trace(profile, build, hyperType(step)).plan;
}

/** The loss alone, for evaluation: of the averages, where they are kept. */
export function planEval<S extends BatchShape>(profile: DeviceProfile, step: StepModel, shape: S): EvalPlan {
  const types = { ...typesOfBatch(step, shape), ...weightType() };
  const build = (inputs: InputsOf<typeof types>) => ({ outputs: lossesOf(step, inputs, false) });
  return trace(profile, build, types).plan as EvalPlan;
}

/** @throws RangeError where gradients are not accumulated */
function sumOf({ path, sum }: Trained): Variable {
  if (sum === undefined) throw new RangeError(`'${path}' has no sum of gradients: plan it with \`accumulate\``);
  return sum;
}

function withoutHyper<T extends { readonly hyper: Tensor }>({ hyper: _, ...inputs }: T): Omit<T, 'hyper'> {
  return inputs;
}
