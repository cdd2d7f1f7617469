import { type DType, dtypeInfo } from '@lapidary/kernels/dtype';
import { convertBytes } from '../dtype/convert.js';
import type { ByteSource } from '../source/byte-source.js';
import type { LocatedWeight } from './locate.js';

/** Most bytes of a parameter that are put together at once: the widest linear of a model of 3 billion parameters in f32. */
const stripBytes = 128 * 2 ** 20;
/** Values written one after the other for each of the stored rows: what lies close in the parameter stays in the processor's cache. */
const tile = 32;

export interface PermuteOptions {
  readonly to: DType;
  readonly chunkBytes: number;
  readonly signal?: AbortSignal | undefined;
  /** Default 128 MiB; smaller in tests. */
  readonly stripBytes?: number;
}

/** What has been put together of a parameter, in its order. */
export interface Strip {
  readonly bytes: Uint8Array;
  /** That were read for it. */
  readonly read: number;
}

/**
 * A parameter whose axes are stored in another order, a strip of its rows at a time. What is stored is read in pieces of
 * `chunkBytes`; no more than a strip and a piece are in memory.
 */
export async function* permuted(
  { stored, storedDType, offset, permute }: LocatedWeight,
  reader: ByteSource,
  { to, chunkBytes, signal, stripBytes: limit = stripBytes }: PermuteOptions,
): AsyncGenerator<Strip> {
  const axes = permute as readonly number[];
  const { shape } = stored;
  const last = shape.length - 1;
  const [first = 0] = axes;
  const rows = shape[first] as number;
  const size = dtypeInfo[to].blockBytes;
  const sourceSize = dtypeInfo[storedDType].blockBytes;
  const rowValues = shape.reduce((a, b) => a * b, 1) / rows;
  // Where strips are whole ranges of the file, small ones cost nothing more.
  const isRange = axes.findIndex((axis, i) => axis !== i && shape[axis] !== 1) > 0;
  // An even number of rows: pieces begin at multiples of 4 bytes.
  const perStrip = Math.max(
    2,
    Math.floor((isRange ? chunkBytes : limit) / (rowValues * Math.max(size, sourceSize)) / 2) * 2,
  );
  const outStrides = new Array<number>(shape.length);
  axes.reduceRight((stride, axis) => {
    outStrides[axis] = stride;
    return stride * (shape[axis] as number);
  }, 1);
  const sourceStrides = new Array<number>(shape.length);
  shape.reduceRight((stride, length, axis) => {
    sourceStrides[axis] = stride;
    return stride * length;
  }, 1);

  for (let from = 0; from < rows; from += perStrip) {
    const count = Math.min(perStrip, rows - from);
    const taken = shape.map((length, axis) => (axis === first ? count : length));
    const run = taken[last] as number;
    const runs = taken.reduce((a, b) => a * b, 1) / run;
    const out = size === 2 ? new Uint16Array(count * rowValues) : new Uint32Array(count * rowValues);
    const perChunk = Math.max(1, Math.floor(chunkBytes / (run * Math.max(size, sourceSize))));
    const begin = from * (sourceStrides[first] as number);
    const runStride = outStrides[last] as number;
    let read = 0;
    for (let at = 0; at < runs; at += perChunk) {
      const here = Math.min(perChunk, runs - at);
      const sources = new Array<number>(here);
      const targets = new Array<number>(here);
      for (let i = 0; i < here; i++) {
        let rest = at + i;
        let source = begin;
        let target = 0;
        for (let axis = last - 1; axis >= 0; axis--) {
          const index = rest % (taken[axis] as number);
          rest = Math.floor(rest / (taken[axis] as number));
          source += index * (sourceStrides[axis] as number);
          target += index * (outStrides[axis] as number);
        }
        sources[i] = source;
        targets[i] = target;
      }
      const bytes = await readRuns(reader, stored.offset, sources, run, sourceSize, signal);
      read += bytes.length;
      const converted = convertBytes(bytes, storedDType, to, offset);
      const values =
        size === 2 ? new Uint16Array(converted.buffer, converted.byteOffset, here * run) : words(converted);
      for (let left = 0; left < run; left += tile) {
        const right = Math.min(left + tile, run);
        for (let i = 0; i < here; i++) {
          let target = (targets[i] as number) + left * runStride;
          for (let j = i * run + left; j < i * run + right; j++, target += runStride) out[target] = values[j] as number;
        }
      }
    }
    yield { bytes: new Uint8Array(out.buffer), read };
  }
}

/** Runs of values at these indices, one after the other; neighbours are read together. */
async function readRuns(
  reader: ByteSource,
  offset: number,
  starts: readonly number[],
  run: number,
  size: number,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(starts.length * run * size);
  for (let i = 0; i < starts.length; ) {
    let end = i + 1;
    while (end < starts.length && starts[end] === (starts[end - 1] as number) + run) end++;
    bytes.set(await reader.read(offset + (starts[i] as number) * size, (end - i) * run * size, signal), i * run * size);
    i = end;
  }
  return bytes;
}

function words(bytes: Uint8Array): Uint32Array {
  return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
}
