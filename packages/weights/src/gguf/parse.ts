import { WeightFileError } from '../errors.js';

/** More bytes of the header are needed than were given. */
export class NeedMoreBytes extends Error {}

export interface GgufTensorInfo {
  readonly name: string;
  /** As stored: the first runs fastest. */
  readonly dims: readonly number[];
  readonly type: number;
  /** From the start of the data. */
  readonly offset: number;
}

export interface GgufHeader {
  readonly version: number;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly tensors: readonly GgufTensorInfo[];
  /** Where the data starts, in the file. */
  readonly dataStart: number;
}

/** Far above any real file; a corrupt count must not cost time or memory. */
const most = {
  pairs: 100_000,
  tensors: 100_000,
  /** Of all arrays together: a vocabulary of 262,144 has some 1.3 million. */
  elements: 10_000_000,
  stringBytes: 10_000_000,
  dims: 8,
  depth: 4,
  alignment: 1 << 20,
};
/** Bytes of the numeric types 0…12; strings (8) and arrays (9) have none of their own. */
const typeBytes: readonly number[] = [1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8];
const stringType = 8;
const arrayType = 9;
const smallestTensorInfo = 8 + 4 + 4 + 8;
const smallestPair = 8 + 4 + 1;

/**
 * A GGUF header out of the first bytes of a file of `fileSize` bytes.
 * @throws {NeedMoreBytes} when `bytes` ends before the header. @throws {WeightFileError} when it is corrupt.
 */
export function parseGguf(bytes: Uint8Array, file: string, fileSize: number): GgufHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  // A word may begin with a byte order mark.
  const text = new TextDecoder('utf-8', { ignoreBOM: true });
  let at = 0;
  const fail = (problem: string): never => {
    throw new WeightFileError({ file, offset: at }, `${problem} The file is corrupt or truncated.`);
  };
  /** The position of `length` bytes, stepped over. */
  const take = (length: number): number => {
    if (at + length > fileSize) fail(`${length} bytes of header wanted, the file has ${fileSize}.`);
    if (at + length > bytes.length) throw new NeedMoreBytes();
    at += length;
    return at - length;
  };
  /** A count of things that each take at least `each` bytes of what is left of the file. */
  const count = (what: string, limit: number, each: number): number => {
    const value = view.getBigUint64(take(8), true);
    if (value > BigInt(limit)) fail(`${what}: ${value} is more than ${limit}.`);
    if (Number(value) * each > fileSize - at) fail(`${what}: ${value} do not fit into the rest of the file.`);
    return Number(value);
  };
  const string = (what: string): string => {
    const length = count(`length of ${what}`, most.stringBytes, 1);
    const start = take(length);
    return text.decode(bytes.subarray(start, start + length));
  };
  const wide = (value: bigint): number | bigint => (BigInt.asIntN(54, value) === value ? Number(value) : value);
  const scalar = (type: number): unknown => {
    const size = typeBytes[type];
    if (size === undefined) return fail(`a value has type ${type}, which GGUF does not know.`);
    if (type === stringType) return string('a string');
    const p = take(size);
    switch (type) {
      case 0:
        return view.getUint8(p);
      case 1:
        return view.getInt8(p);
      case 2:
        return view.getUint16(p, true);
      case 3:
        return view.getInt16(p, true);
      case 4:
        return view.getUint32(p, true);
      case 5:
        return view.getInt32(p, true);
      case 6:
        return view.getFloat32(p, true);
      case 7:
        return view.getUint8(p) !== 0;
      case 10:
        return wide(view.getBigUint64(p, true));
      case 11:
        return wide(view.getBigInt64(p, true));
      default:
        return view.getFloat64(p, true);
    }
  };
  let elements = 0;
  const value = (type: number, depth: number): unknown => {
    if (type !== arrayType) return scalar(type);
    if (depth >= most.depth) fail('arrays lie too deep within each other.');
    const element = view.getUint32(take(4), true);
    const length = count('length of an array', most.elements, element === stringType ? 8 : (typeBytes[element] ?? 1));
    elements += length;
    if (elements > most.elements) fail(`its arrays have more than ${most.elements} elements.`);
    const list: unknown[] = [];
    for (let i = 0; i < length; i++) list.push(value(element, depth + 1));
    return list;
  };

  if (text.decode(bytes.subarray(take(4), 4)) !== 'GGUF') {
    throw new WeightFileError({ file, offset: 0 }, 'does not start with "GGUF": it is no GGUF file.');
  }
  const version = view.getUint32(take(4), true);
  if ((version & 0xffff) === 0 && version !== 0)
    throw new WeightFileError(
      { file, offset: 4 },
      'is a big-endian GGUF, which is not supported; convert the model anew.',
    );
  if (version !== 2 && version !== 3) fail(`version ${version} is not supported (2 and 3 are).`);
  const tensorCount = count('number of tensors', most.tensors, smallestTensorInfo);
  const pairCount = count('number of metadata entries', most.pairs, smallestPair);

  const metadata: Record<string, unknown> = Object.create(null) as Record<string, unknown>;
  for (let i = 0; i < pairCount; i++) {
    const key = string('a key');
    if (key in metadata) fail(`metadata names ${JSON.stringify(key.slice(0, 100))} twice.`);
    metadata[key] = value(view.getUint32(take(4), true), 0);
  }
  const tensors: GgufTensorInfo[] = [];
  const names = new Set<string>();
  for (let i = 0; i < tensorCount; i++) {
    const name = string('a tensor name');
    if (names.has(name)) fail(`tensor ${JSON.stringify(name.slice(0, 100))} is there twice.`);
    names.add(name);
    const rank = view.getUint32(take(4), true);
    if (rank > most.dims) fail(`tensor ${name.slice(0, 100)} has ${rank} dimensions.`);
    const dims: number[] = [];
    for (let j = 0; j < rank; j++) dims.push(exact(view.getBigUint64(take(8), true), fail));
    const type = view.getUint32(take(4), true);
    tensors.push({ name, dims, type, offset: exact(view.getBigUint64(take(8), true), fail) });
  }
  const alignment = metadata['general.alignment'] ?? 32;
  if (
    typeof alignment !== 'number' ||
    !Number.isInteger(alignment) ||
    alignment < 1 ||
    alignment > most.alignment ||
    (alignment & (alignment - 1)) !== 0
  ) {
    return fail(`general.alignment is ${String(alignment).slice(0, 40)}, no power of two up to ${most.alignment}.`);
  }
  return { version, metadata, tensors, dataStart: Math.ceil(at / alignment) * alignment };
}

function exact(value: bigint, fail: (problem: string) => never): number {
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : fail(`a size or offset is ${value}.`);
}
