import type { StoredTensor } from '../container.js';
import { safetensorsBytes } from '../dtype/names.js';
import { WeightFileError } from '../errors.js';
import type { ByteSource } from '../source/byte-source.js';
import { longestPreamble, type NpyHeader, parseNpyHeader, readNpyPreamble } from './npy-header.js';
import { checkLocalHeader, localHeaderLength, readZipDirectory, tensorName, type ZipMember } from './zip.js';

/** An open npz: where its arrays lie. */
export interface NpzFile {
  readonly tensors: ReadonlyMap<string, StoredTensor>;
}

/** Holds the headers of nearly every array: a local header with a name of some 60 bytes, and 128 of numpy's. */
const firstPiece = 512;

/** See `openNpz`. */
export async function readNpz(source: ByteSource, signal?: AbortSignal): Promise<NpzFile> {
  const directory = await readZipDirectory(source, signal);
  const tensors = new Map<string, StoredTensor>();
  let before: ZipMember | undefined;
  let end = 0;
  const members = [...directory.members].sort((a, b) => a.offset - b.offset);
  for (const member of members) {
    if (member.offset < end) {
      throw new WeightFileError(
        { file: source.name, tensor: tensorName(member.name), offset: member.offset },
        `it overlaps ${tensorName(before!.name)}. The file is corrupt: download it again.`,
      );
    }
    const tensor = await readMember(source, member, directory.start, signal);
    tensors.set(tensor.name, tensor);
    before = member;
    end = tensor.offset + tensor.byteLength;
  }
  const unnamed = members[0]?.offset ?? directory.start;
  if (unnamed > 0)
    throw new WeightFileError(
      { file: source.name, offset: 0 },
      `its first ${unnamed} bytes belong to no array. The file is corrupt, or something was put before it.`,
    );
  return { tensors };
}

async function readMember(
  source: ByteSource,
  member: ZipMember,
  directoryStart: number,
  signal?: AbortSignal,
): Promise<StoredTensor> {
  const name = member.name.slice(0, -'.npy'.length);
  const fail = (problem: string, offset = member.offset): never => {
    throw new WeightFileError({ file: source.name, tensor: tensorName(member.name), offset }, problem);
  };
  const available = directoryStart - member.offset;
  let piece = await source.read(member.offset, Math.min(firstPiece, available), signal);
  const atLeast = async (length: number): Promise<Uint8Array> => {
    if (length > available)
      fail(`its headers do not end before the directory at ${directoryStart}. The file is corrupt: download it again.`);
    if (length > piece.length) piece = await source.read(member.offset, length, signal);
    return piece;
  };

  const npyStart = localHeaderLength(piece, fail);
  checkLocalHeader((await atLeast(npyStart)).subarray(0, npyStart), member, { file: source.name }, fail);
  if (npyStart + member.size > available)
    fail(
      `its ${member.size} bytes reach into the directory at ${directoryStart}. The file is corrupt: download it again.`,
    );
  const start = member.offset + npyStart;
  const failInNpy = (problem: string) => fail(problem, start);
  const preambleEnd = npyStart + Math.min(longestPreamble, member.size);
  const preamble = readNpyPreamble((await atLeast(preambleEnd)).subarray(npyStart, preambleEnd), failInNpy);
  if (preamble.dataStart > member.size)
    failInNpy(
      `its header takes ${preamble.dataStart} bytes of ${member.size}. The file is corrupt: download it again.`,
    );
  const header = (await atLeast(npyStart + preamble.dataStart)).subarray(
    npyStart + preamble.textStart,
    npyStart + preamble.dataStart,
  );
  const { type, shape } = parseNpyHeader(header, preamble.encoding, failInNpy);
  const byteLength = bytesOf({ type, shape }, failInNpy);
  if (preamble.dataStart + byteLength !== member.size) {
    failInNpy(
      `${type} [${shape.join(', ')}] takes ${byteLength} bytes, but it has ${member.size - preamble.dataStart}. The file is ` +
        'corrupt: download it again.',
    );
  }
  return { name, type, shape, source, offset: start + preamble.dataStart, byteLength };
}

function bytesOf({ type, shape }: NpyHeader, fail: (problem: string) => never): number {
  // Each factor is checked on the way: the product of large sizes is no exact number.
  let bytes = safetensorsBytes[type];
  for (const size of shape) {
    bytes *= size;
    if (!Number.isSafeInteger(bytes)) fail(`its shape [${shape.join(', ')}] is absurdly large.`);
  }
  return bytes;
}
