import { type DType, isQuantised } from '@lapidary/kernels/dtype';
import { dequantise } from './dequantise.js';
import { numberToBf16, numberToF16 } from './floats.js';

/** Whether weights stored as `from` can be had as `to`. */
export function canConvert(from: DType, to: DType): boolean {
  if (from === to) return true;
  return !isQuantised(to) && isFloat(to) && (isFloat(from) || isQuantised(from));
}

function isFloat(dtype: DType): boolean {
  return dtype === 'f32' || dtype === 'f16' || dtype === 'bf16';
}

/** Little-endian bytes of float32 values as `to`; bf16 and f16 rounded to nearest, ties to even. */
export function encodeFloats(values: Float32Array, to: DType): Uint8Array {
  if (to === 'f32') {
    const bytes = new Uint8Array(values.length * 4);
    const view = new DataView(bytes.buffer);
    for (let i = 0; i < values.length; i++) view.setFloat32(i * 4, values[i] as number, true);
    return bytes;
  }
  const encode = to === 'bf16' ? numberToBf16 : to === 'f16' ? numberToF16 : undefined;
  if (encode === undefined) throw new RangeError(`float32 values cannot be written as ${to}`);
  const bytes = new Uint8Array(values.length * 2);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < values.length; i++) view.setUint16(i * 2, encode(values[i] as number), true);
  return bytes;
}

/** Bytes of `from` as bytes of `to`, `offset` added in float32 on the way. The same bytes where nothing changes. */
export function convertBytes(bytes: Uint8Array, from: DType, to: DType, offset = 0): Uint8Array {
  if (from === to && offset === 0) return bytes;
  const values = dequantise(from, bytes);
  if (offset !== 0) for (let i = 0; i < values.length; i++) values[i] = (values[i] as number) + offset;
  return encodeFloats(values, to);
}
