import { matmul as matmulKernel } from '@lapidary/kernels';
import {
  addedTo,
  addNode,
  formatType,
  needF32,
  needRecords,
  needTensors,
  sizeOf,
  TensorShapeError,
  type Tensor,
} from '../graph.js';
import { reshape } from './shape.js';

export interface MatmulOptions {
  /** Use the transpose of the last two dimensions of a (or b). */
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
  /** Multiplies the product. Default 1. */
  readonly alpha?: number;
  /** f32, the result's shape; added last. */
  readonly residual?: Tensor;
}

/**
 * alpha · op(a)·op(b) + residual. a: f32 […batch, M, K] and b: […batch, K, N], or b a matrix [K, N] shared by all rows of a (a not
 * transposed). b in any storage type (only f32 gets a gradient). f32 accumulation.
 */
export function matmul(a: Tensor, b: Tensor, options: MatmulOptions = {}): Tensor {
  needRecords('matmul', { options });
  const { transposeA = false, transposeB = false, alpha = 1, residual } = options;
  needF32('matmul', { a, ...(residual && { residual }) });
  needTensors('matmul', { b });
  if (
    a.shape.length > 3 &&
    a.shape.length === b.shape.length &&
    a.shape.slice(0, -2).join() === b.shape.slice(0, -2).join()
  ) {
    const lead = a.shape.slice(0, -2);
    const flat = (t: Tensor) => reshape(t, [-1, ...t.shape.slice(-2)]);
    const product = matmul(flat(a), flat(b), { ...options, ...(residual && { residual: flat(residual) }) });
    return reshape(product, [...lead, ...product.shape.slice(1)]);
  }
  if (a.shape.length < 2 || b.shape.length < 2 || b.shape.length > 3)
    throw new TensorShapeError('matmul', `cannot multiply ${formatType(a)} and ${formatType(b)}`);
  if (b.shape.length === 2 && a.shape.length > 2 && !transposeA) {
    const lead = a.shape.slice(0, -1);
    const flat = matmul(reshape(a, [-1, a.shape.at(-1)!]), b, {
      ...options,
      ...(residual && { residual: reshape(residual, [sizeOf(lead), residual.shape.at(-1)!]) }),
    });
    return reshape(flat, [...lead, flat.shape[1]!]);
  }
  const batch = b.shape.length === 3 ? b.shape[0]! : 1;
  const [m, k] = transposeA ? [a.shape.at(-1)!, a.shape.at(-2)!] : [a.shape.at(-2)!, a.shape.at(-1)!];
  const [n, kb] = transposeB ? [b.shape.at(-2)!, b.shape.at(-1)!] : [b.shape.at(-1)!, b.shape.at(-2)!];
  if (a.shape.length !== b.shape.length || k !== kb || (batch > 1 && a.shape[0] !== batch)) {
    throw new TensorShapeError(
      'matmul',
      `cannot multiply ${formatType(a)}${transposeA ? ' transposed' : ''} and ${formatType(b)}${transposeB ? ' transposed' : ''}`,
    );
  }
  const shape = b.shape.length === 3 ? [batch, m, n] : [m, n];
  if (residual && residual.shape.join() !== shape.join())
    throw new TensorShapeError('matmul', `residual ${formatType(residual)} for a result of [${shape.join(', ')}]`);
  return addNode({
    name: 'matmul',
    inputs: residual ? [a, b, residual] : [a, b],
    outputs: [{ shape, dtype: 'f32' }],
    ...(residual
      ? { mayOverwrite: 2 }
      : { takesEpilogue: 'whole' as const, takesNorm: m === 1 && batch === 1 && !transposeA && transposeB }),
    lower: ({
      profile,
      inputs,
      outputs,
      workspace,
      norm,
      epilogue: { bias, activation, residual: added = inputs[2] } = {},
    }) =>
      matmulKernel(profile, {
        a: inputs[0]!,
        b: inputs[1]!,
        out: outputs[0]!,
        m,
        n,
        k,
        batch,
        transposeA,
        transposeB,
        alpha,
        workspace,
        ...(norm && { norm }),
        ...(bias && { bias }),
        ...(activation && { activation }),
        ...addedTo(outputs[0]!, added),
      }),
    vjp: ({ inputs, grads, needs }) => {
      const [x, w] = inputs as [Tensor, Tensor];
      const grad = grads[0]!;
      let dA: Tensor | undefined;
      let dB: Tensor | undefined;
      if (needs[0]) {
        dA = transposeA
          ? matmul(w, grad, { transposeA: transposeB, transposeB: true, alpha })
          : matmul(grad, w, { transposeB: !transposeB, alpha });
      }
      if (needs[1]) {
        dB = transposeB
          ? matmul(grad, x, { transposeA: true, transposeB: transposeA, alpha })
          : matmul(x, grad, { transposeA: !transposeA, alpha });
      }
      return [dA, dB, grad];
    },
  })[0]!;
}
