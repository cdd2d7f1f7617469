import type { DeviceProfile } from '@lapidary/gpu';
import { modelLoss, visionConfigOf, type GemmaOptions, type ModelConfig, type ModelParams } from '@lapidary/gemma';
import {
  adamw,
  add,
  gradients,
  sumOfSquares,
  TensorLike,
  trace,
  Variable,
  where,
  type ProgramPlan,
  type Tensor,
} from '@lapidary/tensor';

/** One trained parameter with its optimiser state. */
export interface Trained {
  readonly path: string;
  readonly param: Variable;
  readonly m: Variable;
  readonly v: Variable;
  /** Sum of gradients over micro-batches; only with gradient accumulation. */
  readonly sum: Variable | undefined;
}

/** Optimiser state for trained parameters (f32), abstract until allocated. */
export function planTrained(params: ReadonlyMap<string, Variable>, accumulate: boolean): Trained[] {
  return [...params].map(([path, param]) => {
    const state = (kind: string) =>
      new Variable(`${path} ${kind}`, { shape: param.type.shape, dtype: 'f32' }, 'optimizer');
    return { path, param, m: state('m'), v: state('v'), sum: accumulate ? state('gradient') : undefined };
  });
}

/** Sizes of one kind of batch: programs are made for each. */
export interface BatchShape {
  /** Rows. */
  readonly batch: number;
  /** Tokens of a row's text, padding included. */
  readonly length: number;
  /** Patches of a row's pictures, which come before its text. Default 0. */
  readonly patches?: number;
  /** Places for targets. */
  readonly targets: number;
}

export interface StepModel {
  readonly params: ModelParams;
  readonly config: ModelConfig;
  readonly trained: readonly Trained[];
  readonly options: Omit<GemmaOptions, 'loraDropout'> & { readonly loraDropout?: number };
}

/** Names of the hyper input's eight values, in order; see `adamw` of @lapidary/tensor. */
export interface HyperParameters {
  readonly learningRate: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  readonly weightDecay: number;
  /** Counts from 1. */
  readonly step: number;
  /** 0: no clipping. */
  readonly clipNorm: number;
}

export function hyperInput({
  learningRate,
  beta1,
  beta2,
  eps,
  weightDecay,
  step,
  clipNorm,
}: HyperParameters): Float32Array {
  return Float32Array.of(learningRate, beta1, beta2, eps, weightDecay, 1 - beta1 ** step, 1 - beta2 ** step, clipNorm);
}

const batchTypes = ({ config }: StepModel, { batch, length, targets, patches = 0 }: BatchShape) => ({
  inputIds: new TensorLike('i32', [batch, length]),
  tokenInfo: new TensorLike('i32', [batch, patches + length, 4]),
  ...(patches > 0 && { patches: new TensorLike('f32', [batch, patches, patchValues(config)]) }),
  rows: new TensorLike('i32', [targets]),
  targets: new TensorLike('i32', [targets]),
  weight: new TensorLike('f32', [1]),
});
function patchValues(config: ModelConfig): number {
  const vision = visionConfigOf(config);
  if (vision === undefined) throw new TypeError('a batch has pictures, but the model has no vision tower');
  return 3 * vision.patchSize ** 2;
}
const hyperTypes = { hyper: new TensorLike('f32', [8]) };
const seedTypes = { seed: new TensorLike('i32', [1]) };

type Inputs = Record<string, Tensor>;

function lossOf(
  { params, config, options: { loraDropout, ...options } }: StepModel,
  inputs: Inputs,
  training: boolean,
): Tensor {
  return modelLoss(
    params,
    config,
    {
      inputIds: inputs.inputIds!,
      tokenInfo: inputs.tokenInfo!,
      ...(inputs.patches && { patches: inputs.patches }),
    },
    { rows: inputs.rows!, targets: inputs.targets!, weight: inputs.weight! },
    { ...options, ...(training && loraDropout ? { loraDropout: { rate: loraDropout, seed: inputs.seed! } } : {}) },
  );
}

function gradientsOf(model: StepModel, loss: Tensor): Tensor[] {
  return gradients(
    loss,
    model.trained.map((t) => t.param.tensor),
  ).map((grad, i) => {
    if (grad === undefined) throw new Error(`the loss does not depend on '${model.trained[i]!.path}'`);
    return grad;
  });
}

function optimise(trained: readonly Trained[], grads: readonly Tensor[], hyper: Tensor) {
  const gradNormSquared = sumOfSquares(grads);
  const updates = trained.flatMap(({ param, m, v }, i) => {
    const [newParam, newM, newV] = adamw({
      param: param.tensor,
      grad: grads[i]!,
      m: m.tensor,
      v: v.tensor,
      hyper,
      gradNormSquared,
    });
    return [
      { variable: param, value: newParam },
      { variable: m, value: newM },
      { variable: v, value: newV },
    ];
  });
  return { gradNormSquared, updates };
}

/** Forward, backward and AdamW in one program. Outputs: 0 the weighted loss, 1 the squared gradient norm. */
export function planStep(profile: DeviceProfile, model: StepModel, shape: BatchShape): ProgramPlan {
  const types = { ...batchTypes(model, shape), ...hyperTypes, ...(model.options.loraDropout ? seedTypes : {}) };
  return trace(
    profile,
    (inputs: Inputs) => {
      const loss = lossOf(model, inputs, true);
      const { gradNormSquared, updates } = optimise(model.trained, gradientsOf(model, loss), inputs.hyper!);
      return { outputs: { loss, gradNormSquared }, updates };
    },
    types,
  ).plan;
}

/** Forward and backward of one micro-batch; its gradients are added to the sums, or begin them where input `keep` is 0. */
export function planMicroStep(profile: DeviceProfile, model: StepModel, shape: BatchShape): ProgramPlan {
  const types = {
    ...batchTypes(model, shape),
    keep: new TensorLike('f32', [1]),
    ...(model.options.loraDropout ? seedTypes : {}),
  };
  return trace(
    profile,
    (inputs: Inputs) => {
      const loss = lossOf(model, inputs, true);
      const grads = gradientsOf(model, loss);
      const updates = model.trained.map(({ sum }, i) => ({
        variable: sum!,
        value: where(inputs.keep!, add(grads[i]!, sum!.tensor), grads[i]!),
      }));
      return { outputs: { loss }, updates };
    },
    types,
  ).plan;
}

/** AdamW on the summed gradients. Output 0: the squared gradient norm. */
export function planUpdate(profile: DeviceProfile, model: StepModel): ProgramPlan {
  return trace(
    profile,
    (inputs: Inputs) => {
      const { gradNormSquared, updates } = optimise(
        model.trained,
        model.trained.map((t) => t.sum!.tensor),
        inputs.hyper!,
      );
      return { outputs: { gradNormSquared }, updates };
    },
    hyperTypes,
  ).plan;
}

/** The loss alone, for evaluation. Output 0: the weighted loss. */
export function planEval(profile: DeviceProfile, model: StepModel, shape: BatchShape): ProgramPlan {
  return trace(
    profile,
    (inputs: Inputs) => ({ outputs: { loss: lossOf(model, inputs, false) } }),
    batchTypes(model, shape),
  ).plan;
}
