import { sgd as sgdUpdate } from '@lapidary/tensor';
import { flag, real, withDefault } from '../config/rules.js';
import type { Optimizer } from './optimizer.js';

export interface SgdSettings {
  /** μ: how much of the last step's direction stays. 0: no momentum, and nothing is kept of a parameter. */
  readonly momentum: number;
  /** Looks ahead by a step of the momentum. Changes nothing where that is 0. */
  readonly nesterov: boolean;
  /** Coupled: wd·p is added to the gradient, after clipping. */
  readonly weightDecay: number;
}

/**
 * Stochastic gradient descent with momentum (Sutskever et al. 2013), in the form of torch.optim.SGD without dampening:
 * g ← g + wd·p;  m ← μm + g;  p ← p − lr·m, or with Nesterov's form p ← p − lr·(g + μm).
 * Keeps `m`, of the parameter's shape, where there is momentum. One kernel a parameter.
 *
 * A step is proportional to the gradient, so rates are far larger than those of the other optimisers. There is no rate that suits
 * all models: the default is a start.
 */
export const sgd: Optimizer<SgdSettings, 'sgd'> = {
  type: 'sgd',
  settings: {
    momentum: withDefault(real({ min: 0, below: 1 }), 0.9),
    nesterov: withDefault(flag, false),
    weightDecay: withDefault(real({ min: 0 }), 0),
  },
  defaultLearningRate: { full: 1e-3, lora: 1e-2 },
  state: (shape, { momentum }): Record<string, readonly number[]> => (momentum > 0 ? { m: shape } : {}),
  hyperNames: ['learningRate', 'momentum', 'weightDecay', 'clipNorm'],
  hyper: ({ momentum, weightDecay }, { learningRate, clipNorm }) => ({ learningRate, momentum, weightDecay, clipNorm }),
  update: ({ param, grad, state, hyper, gradNormSquared, settings, scale }) => {
    const [newParam, m] = sgdUpdate({
      param,
      grad,
      ...(state['m'] && { m: state['m'] }),
      hyper,
      gradNormSquared,
      nesterov: settings.nesterov,
      learningRateScale: scale.learningRate,
      weightDecayScale: scale.weightDecay,
    });
    return { param: newParam, state: m ? { m } : {} };
  },
};
