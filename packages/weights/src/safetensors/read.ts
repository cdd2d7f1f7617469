import { parseJson, showValue } from '@lapidary/gemma/model';
import type { StoredTensor } from '../container.js';
import { type SafetensorsDType, safetensorsBytes } from '../dtype/names.js';
import { WeightFileError } from '../errors.js';
import type { ByteSource } from '../source/byte-source.js';
import { duplicateKey, loneSurrogate, otherNumber } from './json-keys.js';

/** An open safetensors file: its metadata, and where its tensors lie. */
export interface SafetensorsFile {
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** `__metadata__` */
  readonly metadata: Readonly<Record<string, string>>;
}

/** The official reader's bound; a real header is at most a few megabytes. */
const longestHeader = 100_000_000;
const mostDimensions = 32;
/** The first eight characters of a pointer file, as a header's length. */
const lfsPointer = new DataView(new TextEncoder().encode('version ').buffer).getBigUint64(0, true);

/**
 * The header of a safetensors file, checked: every tensor lies in the file, with the size its shape and type say; no two
 * overlap, and no byte belongs to none. Source: https://github.com/huggingface/safetensors.
 * @throws {WeightFileError}
 */
export async function openSafetensors(source: ByteSource, signal?: AbortSignal): Promise<SafetensorsFile> {
  const file = source.name;
  const fail = (problem: string, where: { tensor?: string; offset?: number } = {}): never => {
    throw new WeightFileError({ file, ...where }, problem);
  };
  if (source.size < 8) fail(`a safetensors file has at least 8 bytes, this has ${source.size}. It is truncated.`);
  const start = await source.read(0, 8, signal);
  const length = new DataView(start.buffer, start.byteOffset, 8).getBigUint64(0, true);
  // `version https://git-lfs…`
  if (length === lfsPointer)
    fail('is a pointer of Git LFS, not the file itself: get it with `git lfs pull`, or download it.');
  if (length > BigInt(longestHeader) || length > BigInt(source.size - 8)) {
    fail(
      `the header is said to be ${length} bytes long, but the file has ${source.size} and a header at most ` +
        `${longestHeader}. It is truncated, corrupt, or no safetensors file.`,
      { offset: 0 },
    );
  }
  const dataStart = 8 + Number(length);
  const { header, text } = parseHeader(await source.read(8, Number(length), signal), fail);

  const tensors = new Map<string, StoredTensor>();
  for (const [name, value] of Object.entries(header)) {
    if (name === '__metadata__') continue;
    tensors.set(name, readEntry(name, value, source, dataStart));
  }
  const number = otherNumber(text);
  if (number !== undefined)
    fail(`the header has the number ${number.slice(0, 40)}; sizes and positions are whole, written in digits.`, {
      offset: 8,
    });
  checkCoverage([...tensors.values()], dataStart, source);
  return { tensors, metadata: readMetadata(header['__metadata__'], fail) };
}

type Fail = (problem: string, where?: { tensor?: string; offset?: number }) => never;

function parseHeader(bytes: Uint8Array, fail: Fail): { header: Record<string, unknown>; text: string } {
  // Only an object may follow: other readers would see another file behind leading blanks.
  if (bytes[0] !== 0x7b) fail('the header is not a JSON object. It is corrupt, or no safetensors file.', { offset: 8 });
  let header: unknown;
  let text = '';
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    header = parseJson(text);
  } catch (error) {
    fail(`the header is not valid JSON: ${(error as Error).message.slice(0, 120)}.`, { offset: 8 });
  }
  const twice = duplicateKey(text);
  if (twice !== undefined) fail(`the header names ${JSON.stringify(twice.slice(0, 100))} twice.`, { offset: 8 });
  const half = loneSurrogate(text);
  if (half !== undefined) fail(`the header has the text ${half.slice(0, 100)}, which is no Unicode.`, { offset: 8 });
  return { header: header as Record<string, unknown>, text };
}

function readMetadata(value: unknown, fail: Fail): Record<string, string> {
  if (value === undefined) return {};
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
  if (!isObject || !Object.values(value).every((entry) => typeof entry === 'string')) {
    return fail('__metadata__ is not an object of strings.', { offset: 8 });
  }
  return value as Record<string, string>;
}

function readEntry(name: string, value: unknown, source: ByteSource, dataStart: number): StoredTensor {
  const where = { file: source.name, tensor: name.slice(0, 200) };
  if (typeof value !== 'object' || value === null) throw new WeightFileError(where, 'its entry is not an object.');
  const { dtype, shape, data_offsets: offsets } = value as { dtype?: unknown; shape?: unknown; data_offsets?: unknown };
  if (typeof dtype !== 'string' || !Object.hasOwn(safetensorsBytes, dtype)) {
    throw new WeightFileError(where, `its dtype ${showValue(dtype)} is none that safetensors knows.`);
  }
  if (!isSizes(shape) || shape.length > mostDimensions)
    throw new WeightFileError(where, 'its shape is not a list of sizes.');
  if (!isSizes(offsets) || offsets.length !== 2)
    throw new WeightFileError(where, 'its data_offsets are not two positions.');
  const [begin, end] = offsets as [number, number];
  const available = source.size - dataStart;
  if (begin > end || end > available) {
    throw new WeightFileError(
      where,
      `its data_offsets are [${begin}, ${end}], but there are ${available} bytes of data. The file is truncated or corrupt.`,
    );
  }
  // Each factor is checked on the way: the product of large sizes is no exact number.
  let bytes = safetensorsBytes[dtype as SafetensorsDType];
  for (const size of shape) {
    bytes *= size;
    if (!Number.isSafeInteger(bytes))
      throw new WeightFileError(where, `its shape [${shape.join(', ')}] is absurdly large.`);
  }
  if (bytes !== end - begin) {
    throw new WeightFileError(where, `${dtype} [${shape.join(', ')}] takes ${bytes} bytes, but it has ${end - begin}.`);
  }
  return { name, type: dtype, shape, source, offset: dataStart + begin, byteLength: bytes };
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}

function checkCoverage(tensors: StoredTensor[], dataStart: number, source: ByteSource): void {
  tensors.sort((a, b) => a.offset - b.offset || a.byteLength - b.byteLength);
  let end = dataStart;
  for (const { name, offset, byteLength } of tensors) {
    if (offset !== end) {
      throw new WeightFileError(
        { file: source.name, tensor: name, offset },
        offset < end ? 'it overlaps the tensor before it.' : `${offset - end} bytes before it belong to no tensor.`,
      );
    }
    end = offset + byteLength;
  }
  if (end !== source.size) {
    throw new WeightFileError(
      { file: source.name, offset: end },
      `${source.size - end} bytes at the end belong to no tensor.`,
    );
  }
}
