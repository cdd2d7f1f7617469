import { lion as lionUpdate } from '@lapidary/tensor';
import { real, withDefault } from '../config/rules.js';
import { betasRule } from './adamw.js';
import type { Optimizer } from './optimizer.js';

export interface LionSettings {
  /** β₁: of the mean whose sign is the step. β₂: of the mean that is kept. */
  readonly betas: readonly [number, number];
  /** Decoupled, on every trained parameter. */
  readonly weightDecay: number;
}

/**
 * Lion (Chen et al. 2023, arXiv:2302.06675), as optax.lion:
 * p ← p(1 − lr·wd) − lr · sign(β₁m + (1 − β₁)g);  m ← β₂m + (1 − β₂)g.  sign(0) = 0.
 * Keeps `m`, of the parameter's shape: half of what AdamW keeps. One kernel a parameter.
 *
 * Every element moves by the whole rate, so the paper takes a rate 3 to 10 times smaller than AdamW's, and a weight decay that is
 * larger by as much. The default rates here are a fifth of AdamW's.
 */
export const lion: Optimizer<LionSettings, 'lion'> = {
  type: 'lion',
  settings: {
    betas: withDefault(betasRule, [0.9, 0.99]),
    weightDecay: withDefault(real({ min: 0 }), 1e-3),
  },
  defaultLearningRate: { full: 5e-6, lora: 4e-5 },
  state: (shape) => ({ m: shape }),
  hyperNames: ['learningRate', 'oneMinusBeta1', 'oneMinusBeta2', 'weightDecay', 'clipNorm'],
  hyper: ({ betas: [beta1, beta2], weightDecay }, { learningRate, clipNorm }) => ({
    learningRate,
    oneMinusBeta1: 1 - beta1,
    oneMinusBeta2: 1 - beta2,
    weightDecay,
    clipNorm,
  }),
  update: ({ param, grad, state, hyper, gradNormSquared, scale }) => {
    const [newParam, m] = lionUpdate({
      param,
      grad,
      m: state['m']!,
      hyper,
      gradNormSquared,
      learningRateScale: scale.learningRate,
      weightDecayScale: scale.weightDecay,
    });
    return { param: newParam, state: { m } };
  },
};
