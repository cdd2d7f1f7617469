import { addNode, formatType, needRecords, needTensors, TensorShapeError, type Tensor } from '../graph.js';
import { doraRowScale } from './dora.js';
import { mul } from './elementwise.js';
import { matmul } from './matmul.js';
import { sum } from './reduce.js';
import { reshape } from './shape.js';

/** A linear's low-rank update, f32: y += scale · (x·aᵀ)·bᵀ (Hu et al. 2021, arXiv:2106.09685). */
export interface LoraParams {
  /** [rank, in] */
  readonly a: Tensor;
  /** [out, rank] */
  readonly b: Tensor;
  /** Default 1. */
  readonly scale?: number;
  /** [out]: what weight and update give together is multiplied by it, before the bias: a DoRA that is not trained any more. */
  readonly rowScale?: Tensor;
  /** [out] each, of a DoRA in training: what `rowScale` is made of; see `doraRowScale`. */
  readonly magnitude?: Tensor;
  readonly weightNorm?: Tensor;
}

/** A linear map's parameters: `weight` [out, in] in any storage type, optional `bias` [out], optional low-rank update. */
export interface LinearParams {
  readonly weight: Tensor;
  readonly bias?: Tensor;
  readonly lora?: LoraParams;
}

/** y = (x·Wᵀ (+ scale · loraInput·aᵀ·bᵀ)) (· rowScale) (+ bias). x: f32 […, in] → […, out]. `loraInput`: x as the update sees it. */
export function linear(x: Tensor, params: LinearParams, options: { readonly loraInput?: Tensor } = {}): Tensor {
  needRecords('linear', { params, options });
  const { weight, bias, lora } = params;
  const { loraInput = x } = options;
  needTensors('linear', { x, weight, loraInput, ...(bias && { bias }) });
  if (lora !== undefined) {
    needRecords('linear', { lora });
    needTensors('linear', { 'lora.a': lora.a, 'lora.b': lora.b });
  }
  let y = matmul(x, weight, { transposeB: true });
  const { magnitude, weightNorm } = lora ?? {};
  const rowScale =
    lora && magnitude && weightNorm ? doraRowScale(weight, { ...lora, magnitude, weightNorm }) : lora?.rowScale;
  if (bias && !rowScale) y = addBias(y, bias);
  if (lora)
    y = matmul(matmul(loraInput, lora.a, { transposeB: true }), lora.b, {
      transposeB: true,
      alpha: lora.scale ?? 1,
      residual: y,
    });
  if (!rowScale) return y;
  y = mul(y, rowScale);
  return bias ? addBias(y, bias) : y;
}

function addBias(y: Tensor, bias: Tensor): Tensor {
  if (bias.shape.join() !== String(y.shape.at(-1)))
    throw new TensorShapeError('linear', `bias ${formatType(bias)} for a result ${formatType(y)}`);
  const rows = y.size / bias.size;
  return addNode({
    name: 'add',
    inputs: [y, bias],
    outputs: [{ shape: y.shape, dtype: 'f32' }],
    elementwise: { op: 'add' },
    vjp: ({ grads, needs }) => [grads[0], needs[1] ? sum(reshape(grads[0]!, [rows, bias.size]), 0) : undefined],
  })[0]!;
}
