import { adamw as adamwUpdate } from '@lapidary/tensor';
import * as v from 'valibot';
import { inJson, real, withDefault } from '../config/rules.js';
import type { Optimizer } from './optimizer.js';

export interface AdamWSettings {
  /** β₁, β₂: how much of the running means of gradients and of their squares stays at each step. */
  readonly betas: readonly [number, number];
  /** Added to √v̂. */
  readonly eps: number;
  /** Decoupled, on every trained parameter; openpi's 1e-10 stands for none. */
  readonly weightDecay: number;
}

/** Two numbers from 0 to below 1. */
export const betasRule: v.GenericSchema<readonly [number, number]> = inJson(
  v.custom<readonly [number, number]>(
    (value) =>
      Array.isArray(value) &&
      value.length === 2 &&
      value.every((beta) => typeof beta === 'number' && beta >= 0 && beta < 1),
    'two numbers from 0 to below 1',
  ),
  { type: 'array', items: { type: 'number', minimum: 0, exclusiveMaximum: 1 }, minItems: 2, maxItems: 2 },
);

/**
 * AdamW (Loshchilov & Hutter 2017, arXiv:1711.05101), in the form of torch.optim.AdamW, with openpi's defaults:
 * m ← β₁m + (1 − β₁)g;  v ← β₂v + (1 − β₂)g²;  p ← p(1 − lr·wd) − lr · m/(1 − β₁ᵗ) / (√(v/(1 − β₂ᵗ)) + eps).
 * Keeps `m` and `v`, each of the parameter's shape. One kernel a parameter.
 */
export const adamw: Optimizer<AdamWSettings, 'adamw'> = {
  type: 'adamw',
  settings: {
    betas: withDefault(betasRule, [0.9, 0.95]),
    eps: withDefault(real({ above: 0 }), 1e-8),
    weightDecay: withDefault(real({ min: 0 }), 1e-10),
  },
  // openpi's rate for all parameters; adapters start from zero and take about ten times as much.
  defaultLearningRate: { full: 2.5e-5, lora: 2e-4 },
  state: (shape) => ({ m: shape, v: shape }),
  hyperNames: [
    'learningRate',
    'beta1',
    'beta2',
    'eps',
    'weightDecay',
    'biasCorrection1',
    'biasCorrection2',
    'clipNorm',
    'oneMinusBeta1',
    'oneMinusBeta2',
  ],
  hyper: ({ betas: [beta1, beta2], eps, weightDecay }, { learningRate, step, clipNorm }) => ({
    learningRate,
    beta1,
    beta2,
    eps,
    weightDecay,
    biasCorrection1: 1 - beta1 ** step,
    biasCorrection2: 1 - beta2 ** step,
    clipNorm,
    oneMinusBeta1: 1 - beta1,
    oneMinusBeta2: 1 - beta2,
  }),
  update: ({ param, grad, state, hyper, gradNormSquared, scale }) => {
    const [newParam, m, newV] = adamwUpdate({
      param,
      grad,
      m: state['m']!,
      v: state['v']!,
      hyper,
      gradNormSquared,
      learningRateScale: scale.learningRate,
      weightDecayScale: scale.weightDecay,
    });
    return { param: newParam, state: { m, v: newV } };
  },
};
