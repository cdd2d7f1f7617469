import type { ElementwiseOp } from '@lapidary/kernels';
import {
  addNode,
  formatType,
  needNumbers,
  needShape,
  needTensors,
  TensorShapeError,
  type Tensor,
  type VjpContext,
} from '../graph.js';

/** A tensor, or a number that broadcasts to any shape. */
export type Operand = Tensor | number;

/** NumPy's broadcasting of two shapes. */
export function broadcastShapes(operation: string, a: readonly number[], b: readonly number[]): number[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const x = a[i - rank + a.length] ?? 1;
    const y = b[i - rank + b.length] ?? 1;
    if (x !== y && x !== 1 && y !== 1)
      throw new TensorShapeError(operation, `shapes [${a.join(', ')}] and [${b.join(', ')}] do not broadcast`);
    return x === 1 ? y : x;
  });
}

type Rule = (context: VjpContext & { grad: Tensor; x: Tensor[]; y: Tensor }) => (Tensor | undefined)[];

function node(
  op: ElementwiseOp,
  inputs: readonly Tensor[],
  rule: Rule | undefined,
  value?: number,
  shape?: readonly number[],
): Tensor {
  inputs.forEach((input, i) => {
    needTensors(op, { [`operand ${i + 1}`]: input });
    if (!['f32', 'bf16', 'f16', 'i32'].includes(input.dtype))
      throw new TensorShapeError(op, `cannot read ${formatType(input)}; cast it first`);
  });
  const out = shape ?? inputs.map((t) => t.shape).reduce((a, b) => broadcastShapes(op, a, b));
  return addNode({
    name: op,
    inputs,
    outputs: [{ shape: out, dtype: 'f32' }],
    elementwise: { op, ...(value !== undefined && { value }) },
    ...(rule && {
      // Gradients may have the result's shape: the backward pass sums them over what was broadcast.
      vjp: (context) => {
        const grads = rule({ ...context, grad: context.grads[0]!, x: [...context.inputs], y: context.outputs[0]! });
        return grads.map((g, i) => (context.needs[i] ? g : undefined));
      },
    }),
  })[0]!;
}

/** One number, of any shape. */
export function constant(value: number, shape: readonly number[] = []): Tensor {
  needNumbers('constant', { value });
  needShape('constant', shape);
  return node('constant', [], undefined, value, shape);
}

function tensor(x: Operand): Tensor {
  return typeof x === 'number' ? constant(x) : x;
}

const noGradient: Rule = ({ x }) => x.map(() => undefined);

/** a + b */
export const add = (a: Operand, b: Operand): Tensor => node('add', [tensor(a), tensor(b)], ({ grad }) => [grad, grad]);
/** a − b */
export const sub = (a: Operand, b: Operand): Tensor =>
  node('sub', [tensor(a), tensor(b)], ({ grad }) => [grad, neg(grad)]);
/** a · b, element by element */
export const mul = (a: Operand, b: Operand): Tensor =>
  node('mul', [tensor(a), tensor(b)], ({ grad, x, needs }) => [
    needs[0] ? mul(grad, x[1]!) : undefined,
    needs[1] ? mul(grad, x[0]!) : undefined,
  ]);
/** a / b */
export const div = (a: Operand, b: Operand): Tensor =>
  node('div', [tensor(a), tensor(b)], ({ grad, x, y, needs }) => [
    needs[0] ? div(grad, x[1]!) : undefined,
    needs[1] ? neg(div(mul(grad, y), x[1]!)) : undefined,
  ]);
/** The larger of two; where equal, the gradient is shared half and half, as in PyTorch. */
export const maximum = (a: Operand, b: Operand): Tensor =>
  node('max', [tensor(a), tensor(b)], ({ grad, x }) => {
    const toA = add(greater(x[0]!, x[1]!), mul(equal(x[0]!, x[1]!), 0.5));
    return [mul(grad, toA), mul(grad, sub(1, toA))];
  });
/** The smaller of two; where equal, the gradient is shared half and half, as in PyTorch. */
export const minimum = (a: Operand, b: Operand): Tensor =>
  node('min', [tensor(a), tensor(b)], ({ grad, x }) => {
    const toA = add(greater(x[1]!, x[0]!), mul(equal(x[0]!, x[1]!), 0.5));
    return [mul(grad, toA), mul(grad, sub(1, toA))];
  });
/** 1 where a > b, else 0 */
export const greater = (a: Operand, b: Operand): Tensor => node('greater', [tensor(a), tensor(b)], noGradient);
/** 1 where a ≥ b, else 0 */
export const greaterEqual = (a: Operand, b: Operand): Tensor =>
  node('greaterEqual', [tensor(a), tensor(b)], noGradient);
/** 1 where a = b, else 0 */
export const equal = (a: Operand, b: Operand): Tensor => node('equal', [tensor(a), tensor(b)], noGradient);
/** a where the condition is not 0, else b */
export const where = (condition: Operand, a: Operand, b: Operand): Tensor =>
  node('where', [tensor(condition), tensor(a), tensor(b)], ({ grad, x }) => [
    undefined,
    where(x[0]!, grad, 0),
    where(x[0]!, 0, grad),
  ]);

/** −x */
export const neg = (x: Operand): Tensor => node('neg', [tensor(x)], ({ grad }) => [neg(grad)]);
export const abs = (x: Operand): Tensor => node('abs', [tensor(x)], ({ grad, x: [v] }) => [mul(grad, sign(v!))]);
export const sign = (x: Operand): Tensor => node('sign', [tensor(x)], noGradient);
export const exp = (x: Operand): Tensor => node('exp', [tensor(x)], ({ grad, y }) => [mul(grad, y)]);
/** Natural logarithm. */
export const log = (x: Operand): Tensor => node('log', [tensor(x)], ({ grad, x: [v] }) => [div(grad, v!)]);
export const sqrt = (x: Operand): Tensor => node('sqrt', [tensor(x)], ({ grad, y }) => [div(mul(grad, 0.5), y)]);
/** 1 / √x */
export const rsqrt = (x: Operand): Tensor =>
  node('rsqrt', [tensor(x)], ({ grad, x: [v], y }) => [div(mul(mul(grad, -0.5), y), v!)]);
export const reciprocal = (x: Operand): Tensor =>
  node('reciprocal', [tensor(x)], ({ grad, y }) => [neg(mul(grad, square(y)))]);
/** x² */
export const square = (x: Operand): Tensor =>
  node('square', [tensor(x)], ({ grad, x: [v] }) => [mul(mul(grad, 2), v!)]);
export const sin = (x: Operand): Tensor => node('sin', [tensor(x)], ({ grad, x: [v] }) => [mul(grad, cos(v!))]);
export const cos = (x: Operand): Tensor => node('cos', [tensor(x)], ({ grad, x: [v] }) => [neg(mul(grad, sin(v!)))]);
export const tanh = (x: Operand): Tensor => node('tanh', [tensor(x)], ({ grad, y }) => [mul(grad, sub(1, square(y)))]);
/** 1 / (1 + e^−x) */
export const sigmoid = (x: Operand): Tensor =>
  node('sigmoid', [tensor(x)], ({ grad, y }) => [mul(grad, mul(y, sub(1, y)))]);
export const relu = (x: Operand): Tensor =>
  node('relu', [tensor(x)], ({ grad, x: [v] }) => [mul(grad, greater(v!, 0))]);
/** x · sigmoid(x) (Elfwing et al. 2017, arXiv:1702.03118) */
export const silu = (x: Operand): Tensor =>
  node('silu', [tensor(x)], ({ grad, x: [v] }) => {
    const s = sigmoid(v!);
    return [mul(grad, mul(s, add(1, mul(v!, sub(1, s)))))];
  });
/** GELU in its tanh form, as Gemma uses it (Hendrycks & Gimpel 2016, arXiv:1606.08415). */
export const gelu = (x: Operand): Tensor =>
  node('gelu', [tensor(x)], ({ grad, x: [v] }) => {
    const c = Math.sqrt(2 / Math.PI);
    const t = tanh(mul(c, mul(v!, add(1, mul(0.044715, square(v!))))));
    const slope = mul(c, add(1, mul(3 * 0.044715, square(v!))));
    return [mul(grad, add(mul(0.5, add(1, t)), mul(mul(mul(0.5, v!), sub(1, square(t))), slope)))];
  });

/**
 * Uniform random numbers in [0, 1), a pure function of the seed (i32 scalar tensor), the stream number and the element's
 * place: the same again when recomputed.
 */
export const randomUniform = (seed: Tensor, stream: number, shape: readonly number[]): Tensor => {
  needShape('randomUniform', shape);
  return node('uniform', [seed, constant(stream)], noGradient, undefined, shape);
};

/** Inverted dropout: zeroes a share `rate` of x and scales the rest by 1/(1 − rate). */
export function dropout(x: Tensor, rate: number, seed: Tensor, stream: number): Tensor {
  needTensors('dropout', { x });
  needNumbers('dropout', { rate });
  if (rate === 0) return x;
  return mul(x, mul(greaterEqual(randomUniform(seed, stream, x.shape), rate), 1 / (1 - rate)));
}
