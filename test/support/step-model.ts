import { paramTree, type HostRowsType, type LoraUpdate, type Model } from '@lapidary/gemma';
import type { Gpu } from '@lapidary/gpu';
import type { Variable } from '@lapidary/tensor';
import { bindCompletion, hyperInput, keptOf, optimizerOf, planTrained, type StepModel } from '@lapidary/trainer';
import { withHostRows } from '../../packages/trainer/src/run/prepare/host-rows.js';

const adamw = optimizerOf('adamw');

/** AdamW on completions of any length: what the programs of a step are made of, with what is trained of `variables`. */
export function stepModel(
  model: Model,
  variables: ReadonlyMap<string, Variable>,
  trained: ReadonlyMap<string, Variable>,
  {
    options = {},
    accumulate = false,
    updates,
    hostRows,
  }: {
    options?: StepModel['options'];
    accumulate?: boolean;
    updates?: ReadonlyMap<string, LoraUpdate>;
    hostRows?: HostRowsType | undefined;
  } = {},
): StepModel {
  const limits = {
    maxLength: 1,
    batchSize: 1,
    packing: false,
    seed: 0,
    sampleCount: 0,
    sampleTokens: 0,
    imagePreset: null,
  };
  const settings = { betas: [0.9, 0.95], eps: 1e-8, weightDecay: 0 };
  return {
    model,
    task: withHostRows(
      bindCompletion(model, { settings: { labelSmoothing: 0 }, limits, weightFormat: 'safetensors' }),
      hostRows,
    ),
    params: paramTree(variables, updates),
    trained: planTrained(trained, { optimizer: adamw, settings, accumulate }),
    optimizer: adamw,
    settings,
    options,
  };
}

/** Gives what training keeps its memory. */
export function allocateKept(gpu: Gpu, { trained }: StepModel): void {
  for (const variable of trained.flatMap(keptOf)) variable.allocate(gpu);
}

/** The input `hyper` of an AdamW step. */
export function adamwHyper({
  beta1,
  beta2,
  eps,
  weightDecay,
  ...at
}: {
  beta1: number;
  beta2: number;
  eps: number;
  weightDecay: number;
  learningRate: number;
  step: number;
  clipNorm: number;
}): Float32Array {
  return hyperInput(adamw, { betas: [beta1, beta2], eps, weightDecay }, at);
}
