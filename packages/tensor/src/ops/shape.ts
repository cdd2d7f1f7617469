import {
  convert,
  dequantise,
  dtypeInfo,
  fill,
  isQuantised,
  stridedCopy,
  stridesOf,
  type DType,
} from '@lapidary/kernels';
import {
  addNode,
  formatType,
  needLists,
  needNumbers,
  needShape,
  needTensors,
  sizeOf,
  TensorShapeError,
  type Tensor,
} from '../graph.js';
import { constant } from './elementwise.js';

function axisOf(operation: string, axis: number, rank: number): number {
  needNumbers(operation, { axis });
  const at = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(at) || at < 0 || at >= rank)
    throw new TensorShapeError(operation, `axis ${axis} of a tensor of ${rank} dimensions`);
  return at;
}

function need4Bytes(operation: string, x: Tensor): void {
  needTensors(operation, { x });
  if (!['f32', 'i32', 'u32'].includes(x.dtype))
    throw new TensorShapeError(operation, `${formatType(x)} must be cast to f32 first`);
}

/** The same values under another shape; shares memory. One dimension may be −1. Rows of quantised values stay whole blocks. */
export function reshape(x: Tensor, shape: readonly number[]): Tensor {
  needTensors('reshape', { x });
  needLists('reshape', { shape });
  const known = shape.filter((d) => d !== -1);
  const out = shape.map((d) => (d === -1 ? x.size / sizeOf(known) : d));
  if (sizeOf(out) !== x.size || out.some((d) => !Number.isInteger(d))) {
    throw new TensorShapeError('reshape', `${formatType(x)} cannot become [${shape.join(', ')}]`);
  }
  const { blockSize } = dtypeInfo[x.dtype];
  if ((out.at(-1) ?? 1) % blockSize !== 0)
    throw new TensorShapeError(
      'reshape',
      `${formatType(x)} cannot become [${out.join(', ')}]: rows would be no whole blocks of ${blockSize}`,
    );
  return addNode({
    name: 'reshape',
    inputs: [x],
    outputs: [{ shape: out, dtype: x.dtype }],
    alias: true,
    vjp: ({ inputs, grads }) => [reshape(grads[0]!, inputs[0]!.shape)],
  })[0]!;
}

/** The same values, which count as constant for gradients; shares memory. */
export function stopGradient(x: Tensor): Tensor {
  needTensors('stopGradient', { x });
  return addNode({
    name: 'stopGradient',
    inputs: [x],
    outputs: [{ shape: x.shape, dtype: x.dtype }],
    alias: true,
    vjp: () => [undefined],
  })[0]!;
}

/** Reorders dimensions: `order[i]` is the dimension of `x` that becomes dimension i. Default: reverses them. */
export function transpose(x: Tensor, order?: readonly number[]): Tensor {
  need4Bytes('transpose', x);
  const permutation = order ?? x.shape.map((_, i) => x.shape.length - 1 - i);
  needLists('transpose', { permutation });
  const axes = permutation.map((a) => axisOf('transpose', a, x.shape.length));
  if (axes.length !== x.shape.length || new Set(axes).size !== axes.length)
    throw new TensorShapeError(
      'transpose',
      `[${permutation.join(', ')}] is no permutation of ${x.shape.length} dimensions`,
    );
  const shape = axes.map((a) => x.shape[a]!);
  const strides = stridesOf(x.shape);
  return addNode({
    name: 'transpose',
    inputs: [x],
    outputs: [{ shape, dtype: x.dtype }],
    lower: ({ profile, inputs, outputs }) =>
      stridedCopy(profile, {
        x: inputs[0]!,
        out: outputs[0]!,
        shape,
        inStrides: axes.map((a) => strides[a]!),
        inOffset: 0,
        outStrides: stridesOf(shape),
        outOffset: 0,
      }),
    vjp: ({ grads }) => [
      transpose(
        grads[0]!,
        axes.map((_, i) => axes.indexOf(i)),
      ),
    ],
  })[0]!;
}

/** Elements `start` … `end − 1` along one axis. */
export function slice(x: Tensor, axis: number, start: number, end: number): Tensor {
  need4Bytes('slice', x);
  needNumbers('slice', { start, end });
  const at = axisOf('slice', axis, x.shape.length);
  if (!(Number.isInteger(start) && Number.isInteger(end) && start >= 0 && end <= x.shape[at]! && start < end))
    throw new TensorShapeError('slice', `[${start}, ${end}) of axis ${axis} of ${formatType(x)}`);
  const shape = x.shape.map((d, i) => (i === at ? end - start : d));
  const strides = stridesOf(x.shape);
  return addNode({
    name: 'slice',
    inputs: [x],
    outputs: [{ shape, dtype: x.dtype }],
    lower: ({ profile, inputs, outputs }) =>
      stridedCopy(profile, {
        x: inputs[0]!,
        out: outputs[0]!,
        shape,
        inStrides: strides,
        inOffset: start * strides[at]!,
        outStrides: stridesOf(shape),
        outOffset: 0,
      }),
    vjp: ({ inputs, grads }) => {
      const full = inputs[0]!.shape;
      const zeros = (length: number) =>
        constant(
          0,
          full.map((d, i) => (i === at ? length : d)),
        );
      const parts = [
        ...(start > 0 ? [zeros(start)] : []),
        grads[0]!,
        ...(end < full[at]! ? [zeros(full[at]! - end)] : []),
      ];
      return [parts.length === 1 ? grads[0]! : concat(parts, at)];
    },
  })[0]!;
}

/** The parts of length 1 along an axis, which keeps its place: of [2, 3, 4] along 1 three [2, 1, 4]. All are made at once. */
export function split(x: Tensor, axis: number): Tensor[] {
  need4Bytes('split', x);
  const at = axisOf('split', axis, x.shape.length);
  const shape = x.shape.map((d, i) => (i === at ? 1 : d));
  const strides = stridesOf(x.shape);
  return addNode({
    name: 'split',
    inputs: [x],
    outputs: Array.from({ length: x.shape[at]! }, () => ({ shape, dtype: x.dtype })),
    lower: ({ profile, inputs, outputs }) =>
      outputs.flatMap((out, i) =>
        stridedCopy(profile, {
          x: inputs[0]!,
          out,
          shape,
          inStrides: strides,
          inOffset: i * strides[at]!,
          outStrides: stridesOf(shape),
          outOffset: 0,
        }),
      ),
    vjp: ({ grads }) => [
      concat(
        Array.from({ length: x.shape[at]! }, (_, i) => grads[i] ?? constant(0, shape)),
        at,
      ),
    ],
  });
}

/** Tensors one after another along an axis. */
export function concat(parts: readonly Tensor[], axis: number): Tensor {
  needLists('concat', { parts });
  const first = parts[0];
  if (first === undefined) throw new TensorShapeError('concat', 'nothing to concatenate');
  for (const part of parts) need4Bytes('concat', part);
  const at = axisOf('concat', axis, first.shape.length);
  for (const part of parts) {
    if (
      part.dtype !== first.dtype ||
      part.shape.length !== first.shape.length ||
      part.shape.some((d, i) => i !== at && d !== first.shape[i])
    ) {
      throw new TensorShapeError('concat', `${formatType(part)} does not fit ${formatType(first)} along axis ${axis}`);
    }
  }
  const shape = first.shape.map((d, i) => (i === at ? parts.reduce((n, p) => n + p.shape[at]!, 0) : d));
  const outStrides = stridesOf(shape);
  const starts: number[] = [];
  let end = 0;
  for (const part of parts) {
    starts.push(end);
    end += part.shape[at]!;
  }
  return addNode({
    name: 'concat',
    inputs: parts,
    outputs: [{ shape, dtype: first.dtype }],
    lower: ({ profile, inputs, outputs }) =>
      parts.flatMap((part, i) =>
        stridedCopy(profile, {
          x: inputs[i]!,
          out: outputs[0]!,
          shape: part.shape,
          inStrides: stridesOf(part.shape),
          inOffset: 0,
          outStrides,
          outOffset: starts[i]! * outStrides[at]!,
        }),
      ),
    vjp: ({ inputs, grads, needs }) =>
      inputs.map((part, i) => (needs[i] ? slice(grads[0]!, at, starts[i]!, starts[i]! + part.shape[at]!) : undefined)),
  })[0]!;
}

/** The values in another storage type; quantised blocks can only be read (to f32). */
export function cast(x: Tensor, dtype: DType): Tensor {
  needTensors('cast', { x });
  if (x.dtype === dtype) return x;
  if (!Object.hasOwn(dtypeInfo, dtype)) throw new TensorShapeError('cast', `there is no dtype ${String(dtype)}`);
  if (isQuantised(dtype)) throw new TensorShapeError('cast', `cannot quantise to ${dtype}`);
  const n = x.size;
  const from = x.dtype;
  return addNode({
    name: `cast ${from} to ${dtype}`,
    inputs: [x],
    outputs: [{ shape: x.shape, dtype }],
    lower: ({ profile, inputs, outputs }) =>
      isQuantised(from)
        ? dequantise(profile, { x: inputs[0]!, out: outputs[0]!, n, from })
        : convert(profile, { x: inputs[0]!, out: outputs[0]!, n, from, to: dtype }),
    vjp: ({ grads }) => [from === 'f32' ? cast(grads[0]!, 'f32') : undefined],
  })[0]!;
}

/** One whole number, i32 of any shape. For f32 see `constant`. */
export function constantI32(value: number, shape: readonly number[]): Tensor {
  needNumbers('constantI32', { value });
  needShape('constantI32', shape);
  return addNode({
    name: 'constant i32',
    inputs: [],
    outputs: [{ shape, dtype: 'i32' }],
    lower: ({ profile, outputs }) => fill(profile, { out: outputs[0]!, n: sizeOf(shape), value }),
  })[0]!;
}
