import type { StoredTensor } from '../container.js';
import { tensorBytes } from '../dtype/dequantise.js';
import { ggufTypeName, ggufTypes } from '../dtype/names.js';
import { WeightDTypeError, WeightFileError } from '../errors.js';
import type { ByteSource } from '../source/byte-source.js';
import { type GgufHeader, type GgufTensorInfo, NeedMoreBytes, parseGguf } from './parse.js';

/** An open GGUF: its metadata, and where its tensors lie. */
export interface GgufFile {
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly metadata: Readonly<Record<string, unknown>>;
}

/** A header with a vocabulary of 262,144 takes some 10 MB. */
const firstPiece = 1 << 20;
const longestHeader = 1 << 28;

/**
 * The header of a GGUF file (version 2 or 3), checked: every tensor lies in the file and none overlap.
 * Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
 * @throws {WeightFileError} @throws {WeightDTypeError} naming a tensor in a type that is not supported.
 */
export async function openGguf(source: ByteSource, signal?: AbortSignal): Promise<GgufFile> {
  const header = await readHeader(source, signal);
  const tensors = new Map<string, StoredTensor>();
  for (const info of header.tensors) tensors.set(info.name, place(info, header.dataStart, source));
  const sorted = [...tensors.values()].sort((a, b) => a.offset - b.offset);
  let end = header.dataStart;
  for (const { name, offset, byteLength } of sorted) {
    if (offset < end)
      throw new WeightFileError({ file: source.name, tensor: name, offset }, 'it overlaps the tensor before it.');
    end = offset + byteLength;
  }
  return { tensors, metadata: header.metadata };
}

async function readHeader(source: ByteSource, signal?: AbortSignal): Promise<GgufHeader> {
  let bytes = await source.read(0, Math.min(firstPiece, source.size), signal);
  for (;;) {
    try {
      return parseGguf(bytes, source.name, source.size);
    } catch (error) {
      if (!(error instanceof NeedMoreBytes)) throw error;
    }
    if (bytes.length >= Math.min(longestHeader, source.size)) {
      throw new WeightFileError({ file: source.name, offset: bytes.length }, 'the header does not end within 256 MiB.');
    }
    // Doubling: parsing again from the start costs at most as much again as parsing once.
    const more = await source.read(bytes.length, Math.min(bytes.length, source.size - bytes.length), signal);
    const longer = new Uint8Array(bytes.length + more.length);
    longer.set(bytes);
    longer.set(more, bytes.length);
    bytes = longer;
  }
}

function place({ name, dims, type, offset }: GgufTensorInfo, dataStart: number, source: ByteSource): StoredTensor {
  const where = { file: source.name, tensor: name.slice(0, 200) };
  const known = ggufTypes[type];
  if (known === undefined) {
    const supported = Object.values(ggufTypes).map((entry) => entry.name);
    const found = ggufTypeName(type);
    throw new WeightDTypeError(
      { ...where, dtype: found },
      `is stored as ${found}. Supported: ${supported.join(', ')}.`,
    );
  }
  // dims count from the fastest axis: reversed, the same memory is row-major.
  const shape = [...dims].reverse();
  if (!Number.isSafeInteger(shape.reduce((product, size) => product * size, 1))) {
    throw new WeightFileError(where, `its shape [${shape.join(', ')}] is absurdly large.`);
  }
  const byteLength = tensorBytes(known.dtype, shape);
  if (byteLength === undefined) {
    throw new WeightFileError(where, `its rows of ${shape.at(-1)} values are no whole number of ${known.name} blocks.`);
  }
  const start = dataStart + offset;
  if (start + byteLength > source.size) {
    throw new WeightFileError(
      { ...where, offset: start },
      `it takes ${byteLength} bytes, but the file ends at ${source.size}. The file is truncated or corrupt.`,
    );
  }
  return { name, type: known.name, shape, source, offset: start, byteLength };
}
