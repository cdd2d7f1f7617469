import { adafactor as adafactorUpdate, adafactorMoments, type AdafactorMoments, type Tensor } from '@lapidary/tensor';
import * as v from 'valibot';
import { inJson, real, withDefault } from '../config/rules.js';
import type { Optimizer } from './optimizer.js';

export interface AdafactorSettings {
  /** ω = t^beta2Decay is the share of the newest squares in the moments: 1 at the first step, then less. */
  readonly beta2Decay: number;
  /** Least root of a moment (null: that of f32, 2⁻²³), and least root mean square of a parameter as the step's size reads it. */
  readonly eps: readonly [number | null, number];
  /** Largest root mean square of an update before it is multiplied by the step's size. */
  readonly d: number;
  /** Decoupled, on every trained parameter. */
  readonly weightDecay: number;
}

/** 2⁻²³: torch.finfo(torch.float32).eps. */
const float32Epsilon = 2 ** -23;

const isAbove0 = (value: unknown) => typeof value === 'number' && Number.isFinite(value) && value > 0;
const epsRule: v.GenericSchema<readonly [number | null, number]> = inJson(
  v.custom<readonly [number | null, number]>(
    (value) =>
      Array.isArray(value) && value.length === 2 && (value[0] === null || isAbove0(value[0])) && isAbove0(value[1]),
    'two numbers above 0, of which the first may be null',
  ),
  {
    type: 'array',
    prefixItems: [
      { type: ['number', 'null'], exclusiveMinimum: 0 },
      { type: 'number', exclusiveMinimum: 0 },
    ],
    items: false,
    minItems: 2,
  },
);

/**
 * Adafactor (Shazeer & Stern 2018, arXiv:1804.04235), in the form of torch.optim.Adafactor (PyTorch 2.5 and later):
 * w is the running mean of g² with ω = t^beta2Decay; of matrices it is row·col / mean(row), factored over the last two axes.
 * u = g / √max(w, eps₁²);  p ← p(1 − lr·wd) − max(eps₂, rms p) · min(lr, 1/√t) / max(1, rms u / d) · u.
 * Keeps `v` [n] of a vector; of […, R, C] `row` […, R, 1] and `col` […, 1, C]: next to nothing. Five kernels a matrix, three a vector.
 *
 * The rate is relative to the parameter's own size. eps₁ also bounds mean(row) from below, as in PyTorch: where squared gradients
 * are below eps₁ = 1.2e-7 on average, w comes out smaller than it is and `d` alone limits the step.
 */
export const adafactor: Optimizer<AdafactorSettings, 'adafactor'> = {
  type: 'adafactor',
  settings: {
    beta2Decay: withDefault(
      inJson(
        v.custom<number>(
          (value) => typeof value === 'number' && Number.isFinite(value) && value <= 0,
          'a number, 0 or less',
        ),
        { type: 'number', maximum: 0 },
      ),
      -0.8,
    ),
    eps: withDefault(epsRule, [null, 1e-3]),
    d: withDefault(real({ min: 1 }), 1),
    weightDecay: withDefault(real({ min: 0 }), 0),
  },
  // A step is a share of the parameter's root mean square, at least eps2 = 1e-3 of it. A LoRA's B starts at 0 and needs the larger
  // rate to leave that floor. On the example's LoRA, 60 steps from an eval loss of 5.22: 2.75 at 5e-2, where AdamW's default ends at 3.83.
  defaultLearningRate: { full: 1e-3, lora: 5e-2 },
  largestRate: (step) => 1 / Math.sqrt(step),
  state: (shape) => ({ ...adafactorMoments(shape) }),
  hyperNames: ['learningRate', 'newShare', 'inverseRootStep', 'eps1', 'eps2', 'd', 'weightDecay', 'clipNorm'],
  hyper: ({ beta2Decay, eps: [eps1, eps2], d, weightDecay }, { learningRate, step, clipNorm }) => ({
    learningRate,
    newShare: step ** beta2Decay,
    inverseRootStep: 1 / Math.sqrt(step),
    eps1: eps1 ?? float32Epsilon,
    eps2,
    d,
    weightDecay,
    clipNorm,
  }),
  update: ({ param, grad, state, hyper, gradNormSquared, scale }) => {
    const made = adafactorUpdate({
      param,
      grad,
      moments: state as AdafactorMoments<Tensor>,
      hyper,
      gradNormSquared,
      learningRateScale: scale.learningRate,
      weightDecayScale: scale.weightDecay,
    });
    return { param: made.param, state: { ...made.moments } };
  },
};
