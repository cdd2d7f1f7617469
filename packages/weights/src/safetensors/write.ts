import { type DType, isQuantised } from '@lapidary/kernels/dtype';
import { tensorBytes } from '../dtype/dequantise.js';

/** A tensor on its way to a file. */
export interface TensorData {
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Little-endian values, row-major; a function where they are fetched only when their turn comes. */
  readonly bytes: Uint8Array | (() => Iterable<Uint8Array> | AsyncIterable<Uint8Array>);
}

/** Data starts at a multiple of this, as the official writer has it. */
const headerAlignment = 8;

/**
 * A safetensors file in pieces: header length (u64), JSON header, then the tensors in the order of the map.
 * @throws {RangeError} when a tensor is quantised, or has not the bytes its type and shape say.
 */
export async function* encodeSafetensors(
  tensors: ReadonlyMap<string, TensorData>,
  metadata?: Readonly<Record<string, string>>,
): AsyncGenerator<Uint8Array> {
  const header: Record<string, unknown> = metadata === undefined ? {} : { __metadata__: metadata };
  const sizes = new Map<string, number>();
  let end = 0;
  for (const [name, { dtype, shape }] of tensors) {
    if (isQuantised(dtype)) throw new RangeError(`Tensor ${name}: safetensors holds no ${dtype}; convert it first.`);
    const bytes = tensorBytes(dtype, shape) as number;
    header[name] = { dtype: dtype.toUpperCase(), shape, data_offsets: [end, end + bytes] };
    sizes.set(name, bytes);
    end += bytes;
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const length = Math.ceil(json.length / headerAlignment) * headerAlignment;
  const start = new Uint8Array(8 + length).fill(0x20);
  new DataView(start.buffer).setBigUint64(0, BigInt(length), true);
  start.set(json, 8);
  yield start;

  for (const [name, { dtype, shape, bytes }] of tensors) {
    let written = 0;
    for await (const chunk of bytes instanceof Uint8Array ? [bytes] : bytes()) {
      written += chunk.length;
      yield chunk;
    }
    const expected = sizes.get(name);
    if (written !== expected) {
      throw new RangeError(
        `Tensor ${name}: ${written} bytes given, but ${dtype} [${shape.join(', ')}] takes ${expected}.`,
      );
    }
  }
}

/** The same as one array. */
export async function safetensorsToBytes(
  tensors: ReadonlyMap<string, TensorData>,
  metadata?: Readonly<Record<string, string>>,
): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for await (const piece of encodeSafetensors(tensors, metadata)) pieces.push(piece);
  const whole = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
