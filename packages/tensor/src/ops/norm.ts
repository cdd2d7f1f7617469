import {
  layerNorm as layerNormKernel,
  layerNormBackward,
  layerNormParamGrad,
  rmsNorm as rmsNormKernel,
  rmsNormBackward,
  rmsNormWeightGrad,
} from '@lapidary/kernels';
import {
  addedTo,
  addNode,
  formatType,
  needF32,
  needNumbers,
  needRecords,
  needTensors,
  TensorShapeError,
  type Tensor,
} from '../graph.js';
import { cast } from './shape.js';

export interface RmsNormOptions {
  readonly eps: number;
  /** Added to the weight: 1 for models that store w and multiply by 1 + w. Default 0. */
  readonly weightOffset?: number;
}

/**
 * x · rsqrt(mean(x²) + eps) · (w + offset) over the last axis (Zhang & Sennrich 2019, arXiv:1910.07467). x f32 […, d], weight any float
 * [d]; null: none is multiplied by.
 * @throws TensorShapeError
 */
export function rmsNorm(x: Tensor, weight: Tensor | null, options: RmsNormOptions): Tensor {
  needF32('rmsNorm', { x });
  if (weight !== null) needTensors('rmsNorm', { weight });
  needRecords('rmsNorm', { options });
  if (weight === null && options.weightOffset !== undefined)
    throw new TensorShapeError('rmsNorm', 'without a weight there is nothing to add weightOffset to');
  // Without a weight the kernels multiply by the offset alone.
  const { eps, weightOffset = weight === null ? 1 : 0 } = options;
  needNumbers('rmsNorm', { eps, weightOffset });
  const dim = x.shape.at(-1)!;
  if (weight !== null && weight.size !== dim)
    throw new TensorShapeError('rmsNorm', `weight ${formatType(weight)} for rows of ${dim}`);
  const rows = x.size / dim;
  const sizes = { rows, dim, eps };
  return addNode({
    name: 'rms norm',
    inputs: weight ? [x, weight] : [x],
    outputs: [{ shape: x.shape, dtype: 'f32' }],
    takesEpilogue: 'residual',
    ...(weight && { norm: { eps, weightOffset } }),
    lower: ({ profile, inputs: [xs, w], outputs: [out], epilogue }) =>
      rmsNormKernel(profile, {
        ...{ x: xs!, out: out!, weightOffset, ...sizes, ...(w && { weight: w }) },
        ...addedTo(out!, epilogue?.residual),
      }),
    vjp: ({ inputs, grads, needs }) => [
      needs[0]
        ? addNode({
            name: 'rms norm backward',
            inputs: [inputs[0]!, grads[0]!, ...inputs.slice(1)],
            outputs: [{ shape: x.shape, dtype: 'f32' }],
            takesEpilogue: 'residual',
            lower: ({ profile, inputs: [xs, dOut, w], outputs: [dX], epilogue }) =>
              rmsNormBackward(profile, {
                ...{ x: xs!, dOut: dOut!, dX: dX!, weightOffset, ...sizes, ...(w && { weight: w }) },
                ...addedTo(dX!, epilogue?.residual),
              }),
          })[0]
        : undefined,
      weight && needs[1]
        ? addNode({
            name: 'rms norm weight gradient',
            inputs: [inputs[0]!, grads[0]!],
            outputs: [{ shape: weight.shape, dtype: 'f32' }],
            lower: ({ profile, inputs: [xs, dOut], outputs: [dWeight], workspace }) =>
              rmsNormWeightGrad(profile, {
                x: xs!,
                dOut: dOut!,
                dWeight: dWeight!,
                workspace: workspace(rows * 4),
                ...sizes,
              }),
          })[0]
        : undefined,
    ],
  })[0]!;
}

/** (x − mean)/√(var + eps) · w + b over the last axis (Ba et al. 2016, arXiv:1607.06450). x f32 […, d]; weight, bias any float [d]. */
export function layerNorm(x: Tensor, weight: Tensor, bias: Tensor, options: { readonly eps: number }): Tensor {
  needTensors('layerNorm', { x, weight, bias });
  needRecords('layerNorm', { options });
  const { eps } = options;
  needNumbers('layerNorm', { eps });
  needF32('layerNorm', { x });
  return layerNormF32(x, cast(weight, 'f32'), cast(bias, 'f32'), eps);
}

function layerNormF32(x: Tensor, weight: Tensor, bias: Tensor, eps: number): Tensor {
  const dim = x.shape.at(-1)!;
  if (weight.size !== dim || bias.size !== dim)
    throw new TensorShapeError(
      'layerNorm',
      `weight ${formatType(weight)} and bias ${formatType(bias)} for rows of ${dim}`,
    );
  const rows = x.size / dim;
  const sizes = { rows, dim, eps };
  return addNode({
    name: 'layer norm',
    inputs: [x, weight, bias],
    outputs: [{ shape: x.shape, dtype: 'f32' }],
    takesEpilogue: 'residual',
    lower: ({ profile, inputs: [xs, w, b], outputs: [out], epilogue }) =>
      layerNormKernel(profile, {
        ...{ x: xs!, weight: w!, bias: b!, out: out!, ...sizes },
        ...addedTo(out!, epilogue?.residual),
      }),
    vjp: ({ inputs, grads, needs }) => {
      const params =
        needs[1] || needs[2]
          ? addNode({
              name: 'layer norm parameter gradients',
              inputs: [inputs[0]!, grads[0]!],
              outputs: [
                { shape: weight.shape, dtype: 'f32' },
                { shape: bias.shape, dtype: 'f32' },
              ],
              lower: ({ profile, inputs: [xs, dOut], outputs: [dWeight, dBias], workspace }) =>
                layerNormParamGrad(profile, {
                  x: xs!,
                  dOut: dOut!,
                  dWeight: dWeight!,
                  dBias: dBias!,
                  workspace: workspace(rows * 8),
                  ...sizes,
                }),
            })
          : [];
      const dX = needs[0]
        ? addNode({
            name: 'layer norm backward',
            inputs: [inputs[0]!, inputs[1]!, grads[0]!],
            outputs: [{ shape: x.shape, dtype: 'f32' }],
            takesEpilogue: 'residual',
            lower: ({ profile, inputs: [xs, w, dOut], outputs: [dX], epilogue }) =>
              layerNormBackward(profile, {
                ...{ x: xs!, weight: w!, dOut: dOut!, dX: dX!, ...sizes },
                ...addedTo(dX!, epilogue?.residual),
              }),
          })[0]
        : undefined;
      return [dX, params[0], params[1]];
    },
  })[0]!;
}
