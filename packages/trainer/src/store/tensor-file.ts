import { byteLength, type DType } from '@lapidary/kernels';
import type { ByteRange, FileStore } from './file-store.js';

/** A tensor on its way to a file. */
export interface TensorSource {
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Little-endian values, row-major; a function where they are fetched only when their turn comes. */
  readonly bytes: Uint8Array | (() => Iterable<Uint8Array> | AsyncIterable<Uint8Array>);
}

/** A tensor in a file. */
export interface StoredTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly byteLength: number;
  read(): Promise<Uint8Array>;
}

/** Data starts at a multiple of this, as the official writer has it. */
const headerAlignment = 8;
const names = { f32: 'F32', f16: 'F16', bf16: 'BF16', i32: 'I32', u32: 'U32' } as const;
type PlainDType = keyof typeof names;

interface Entry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

/** A safetensors file in pieces: header length (u64), JSON header, then the tensors in the order of the map. */
export async function* encodeTensors(tensors: ReadonlyMap<string, TensorSource>): AsyncGenerator<Uint8Array> {
  const header: Record<string, Entry> = {};
  let end = 0;
  for (const [name, { dtype, shape }] of tensors) {
    const start = end;
    end += sizeOf(dtype, shape);
    header[name] = { dtype: nameOf(dtype, name), shape, data_offsets: [start, end] };
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const length = Math.ceil(json.length / headerAlignment) * headerAlignment;
  const start = new Uint8Array(8 + length).fill(0x20);
  new DataView(start.buffer).setBigUint64(0, BigInt(length), true);
  start.set(json, 8);
  yield start;

  for (const [name, { dtype, shape, bytes }] of tensors) {
    const expected = sizeOf(dtype, shape);
    let written = 0;
    for await (const chunk of bytes instanceof Uint8Array ? [bytes] : bytes()) {
      written += chunk.length;
      yield chunk;
    }
    if (written !== expected) {
      throw new RangeError(
        `Tensor ${name}: ${written} bytes given, but ${dtype} [${shape.join(', ')}] takes ${expected}.`,
      );
    }
  }
}

/** The tensors of a file whose hash was checked; each is read when asked for. */
export async function openTensors(store: FileStore, file: string): Promise<ReadonlyMap<string, StoredTensor>> {
  const length = Number(
    new DataView((await store.read(file, { start: 0, end: 8 })).slice().buffer).getBigUint64(0, true),
  );
  const header = JSON.parse(new TextDecoder().decode(await store.read(file, { start: 8, end: 8 + length }))) as Record<
    string,
    Entry
  >;
  const plain = new Map<string, PlainDType>(Object.entries(names).map(([dtype, name]) => [name, dtype as PlainDType]));
  const tensors = new Map<string, StoredTensor>();
  for (const [name, { dtype, shape, data_offsets }] of Object.entries(header)) {
    if (name === '__metadata__') continue;
    const range: ByteRange = { start: 8 + length + data_offsets[0], end: 8 + length + data_offsets[1] };
    const known = plain.get(dtype);
    if (known === undefined) throw new RangeError(`Tensor ${name} in ${file} has dtype ${dtype}.`);
    tensors.set(name, {
      dtype: known,
      shape,
      byteLength: range.end - range.start,
      read: () => store.read(file, range),
    });
  }
  return tensors;
}

function sizeOf(dtype: DType, shape: readonly number[]): number {
  return byteLength(
    dtype,
    shape.reduce((product, size) => product * size, 1),
  );
}

function nameOf(dtype: DType, tensor: string): string {
  const name = names[dtype as PlainDType];
  if (name === undefined)
    throw new RangeError(`Tensor ${tensor}: checkpoints hold ${Object.keys(names).join(', ')}, not ${dtype}.`);
  return name;
}
