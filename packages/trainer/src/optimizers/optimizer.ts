import type { Tensor } from '@lapidary/tensor';
import type * as v from 'valibot';

/** A schema for each setting, giving what the optimiser reads. */
export type SettingEntries<S> = { readonly [K in keyof S]-?: v.GenericSchema<unknown, S[K]> };

/** What changes from step to step beside the optimiser's own settings. */
export interface StepValues {
  /** The schedule's rate at this step. */
  readonly learningRate: number;
  /** Counts from 1. */
  readonly step: number;
  /** Largest global L2 norm of the gradients; 0: no clipping. */
  readonly clipNorm: number;
}

/** What an optimiser's update of one parameter reads. */
export interface UpdateArgs<S> {
  /** f32, any shape. */
  readonly param: Tensor;
  /** f32, the parameter's shape; not clipped yet. */
  readonly grad: Tensor;
  /** f32, of the shapes that `Optimizer.state` gives, under the same names. */
  readonly state: Readonly<Record<string, Tensor>>;
  /** f32 [hyperNames.length], an input of the program; see `hyperInput`. */
  readonly hyper: Tensor;
  /** f32 scalar: the squared L2 norm of all gradients together. */
  readonly gradNormSquared: Tensor;
  readonly settings: S;
  /** Multiplies the learning rate and the weight decay of this parameter. */
  readonly scale: { readonly learningRate: number; readonly weightDecay: number };
}

/**
 * One optimiser as a value: what it keeps of each parameter, its settings by name, its update. To add one: a file here and a line
 * in `registry.ts`.
 *
 * Rules that all of them follow. Gradients are first multiplied by min(1, clipNorm / (norm + 1e-6)), as in
 * torch.nn.utils.clip_grad_norm_. Where the norm is not finite, neither parameters nor state change.
 * At a rate of 0 parameters stay as they are, bit for bit: so a step is tried at the end of a run.
 */
export interface Optimizer<S extends object = object, T extends string = string> {
  /** `optimizer.type` of a config: `lion`. */
  readonly type: T;
  /** What a config may say beside type, learningRate and clipGradNorm: valibot entries, each with its default. */
  readonly settings: v.ObjectEntries & SettingEntries<S>;
  /** The learning rate where a config says none: for training all parameters, and for an adapter. */
  readonly defaultLearningRate: { readonly full: number; readonly lora: number };
  /** The largest rate that a step goes by: a larger one makes the same step. Default: none. */
  largestRate?(step: number): number;
  /** Shapes of the f32 tensors that it keeps of a parameter, by name. All begin at zero. Checkpoints store them under these names. */
  state(shape: readonly number[], settings: S): Readonly<Record<string, readonly number[]>>;
  /** Names of the values that change from step to step or that a config sets, in the order of the input `hyper`. */
  readonly hyperNames: readonly string[];
  /** Those values for one step. Computed in double precision. */
  hyper(settings: S, at: StepValues): Readonly<Record<string, number>>;
  /** New values of a parameter and its state, f32, as nodes of the graph; in place where the planner can. */
  update(args: UpdateArgs<S>): { readonly param: Tensor; readonly state: Readonly<Record<string, Tensor>> };
}

/**
 * The values of the input `hyper` for one step, f32 [hyperNames.length].
 * @throws RangeError where the optimiser leaves one of its `hyperNames` out, or gives no number for it
 */
export function hyperInput<S extends object>(optimizer: Optimizer<S>, settings: S, at: StepValues): Float32Array {
  const values = optimizer.hyper(settings, at);
  return Float32Array.from(optimizer.hyperNames, (name) => {
    const value = values[name];
    if (value === undefined || Number.isNaN(value))
      throw new RangeError(`optimizer '${optimizer.type}', step ${at.step}: '${name}' is ${value}, not a number`);
    return value;
  });
}
