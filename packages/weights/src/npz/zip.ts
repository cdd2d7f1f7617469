import { WeightFileError } from '../errors.js';
import type { ByteSource } from '../source/byte-source.js';

/** A file in a zip, as the central directory describes it: stored as it is, neither compressed nor encrypted. */
export interface ZipMember {
  readonly name: string;
  /** Of its local header, from the start of the zip. */
  readonly offset: number;
  readonly size: number;
  readonly crc: number;
}

export interface ZipDirectory {
  readonly members: readonly ZipMember[];
  /** Where the directory starts: all members end before it. */
  readonly start: number;
}

/** Bytes of the fixed part of each record. Source of the format: PKWARE's APPNOTE.TXT 6.3.10. */
const localBytes = 30;
const centralBytes = 46;
const endBytes = 22;
const end64Bytes = 56;
const locator64Bytes = 20;

const signature = { local: 0x04034b50, central: 0x02014b50, end: 0x06054b50, end64: 0x06064b50, locator64: 0x07064b50 };
const zip64Extra = 0x0001;
/** In a field of 16 or 32 bits: the value stands in a ZIP64 field. */
const elsewhere16 = 0xffff;
const elsewhere32 = 0xffffffff;
const longestComment = 0xffff;

const flag = {
  encrypted: 1,
  sizesAfterData: 1 << 3,
  patch: 1 << 5,
  strongEncryption: 1 << 6,
  utf8: 1 << 11,
  masked: 1 << 13,
};
const encryption = flag.encrypted | flag.strongEncryption | flag.masked;
const deflate = 8;
/** Of APPNOTE.TXT 6.3.10: what asks for a later one is no zip that anybody writes. */
const latestVersion = 63;

/** A checkpoint has some hundred arrays, or as many thousand where layers are not stacked. */
const mostMembers = 100_000;
const longestDirectory = 1 << 26;

/**
 * The files in a zip by its central directory, at most some 64 KiB of its end in one read and the rest of the directory, if
 * there is more, in a second. ZIP64 is read; split, encrypted and compressed zips are refused.
 * @throws {WeightFileError}
 */
export async function readZipDirectory(source: ByteSource, signal?: AbortSignal): Promise<ZipDirectory> {
  const file = source.name;
  const tailStart = Math.max(0, source.size - (end64Bytes + locator64Bytes + endBytes + longestComment));
  const tail = await source.read(tailStart, source.size - tailStart, signal);
  const endAt = findEnd(tail);
  if (endAt === undefined) throw await missingEnd(source, signal);
  const end = readEnd(tail, endAt, tailStart, file);
  checkEnd(end, file);
  const bytes =
    end.start >= tailStart
      ? tail.subarray(end.start - tailStart, end.start - tailStart + end.size)
      : await source.read(end.start, end.size, signal);
  return { members: readMembers(bytes, end, file), start: end.start };
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The end record is the last of the file: its comment reaches exactly to the end. */
function findEnd(tail: Uint8Array): number | undefined {
  const view = viewOf(tail);
  for (let at = tail.length - endBytes; at >= 0; at--) {
    if (view.getUint32(at, true) !== signature.end) continue;
    if (at + endBytes + view.getUint16(at + 20, true) === tail.length) return at;
  }
  return undefined;
}

async function missingEnd(source: ByteSource, signal?: AbortSignal): Promise<WeightFileError> {
  const start = source.size < 4 ? undefined : viewOf(await source.read(0, 4, signal)).getUint32(0, true);
  return start === signature.local
    ? new WeightFileError(
        { file: source.name, offset: source.size },
        'it starts as a zip, but the directory at its end is missing. The file is truncated: download it again.',
      )
    : new WeightFileError(
        { file: source.name, offset: 0 },
        'it is no .npz file (a zip as numpy.savez writes it). If it was downloaded, look whether it is an error page.',
      );
}

interface End {
  readonly start: number;
  readonly size: number;
  readonly count: number;
  /** Where the record that gave them lies. */
  readonly at: number;
}

function readEnd(tail: Uint8Array, endAt: number, tailStart: number, file: string): End {
  const view = viewOf(tail);
  const at = tailStart + endAt;
  const fail = (problem: string, offset = at): never => {
    throw new WeightFileError({ file, offset }, problem);
  };
  const small = {
    disks: [view.getUint16(endAt + 4, true), view.getUint16(endAt + 6, true)],
    counts: [view.getUint16(endAt + 8, true), view.getUint16(endAt + 10, true)],
    size: view.getUint32(endAt + 12, true),
    start: view.getUint32(endAt + 16, true),
  };
  const locatorAt = endAt - locator64Bytes;
  if (locatorAt < 0 || view.getUint32(locatorAt, true) !== signature.locator64) {
    if (small.size === elsewhere32 || small.start === elsewhere32)
      fail('its end record points to a ZIP64 record that is not there. The file is corrupt: download it again.');
    if (small.disks.some((disk) => disk !== 0) || small.counts[0] !== small.counts[1]) fail(splitZip);
    return { start: small.start, size: small.size, count: small.counts[0]!, at };
  }
  const safe = (position: number) => safeInteger(view, position, (value) => fail(absurd(value), tailStart + position));
  const recordAt = safe(locatorAt + 8) - tailStart;
  // Every writer puts the record right before its locator; what else lay between would be nobody's.
  if (recordAt !== locatorAt - end64Bytes || view.getUint32(recordAt, true) !== signature.end64)
    fail(
      'its ZIP64 record is not where its locator says. The file is corrupt: download it again.',
      tailStart + locatorAt,
    );
  if (safe(recordAt + 4) !== end64Bytes - 12)
    fail('its ZIP64 record has an unknown length. The file is corrupt: download it again.', tailStart + recordAt);
  const disks = [
    view.getUint32(locatorAt + 4, true),
    view.getUint32(recordAt + 16, true),
    view.getUint32(recordAt + 20, true),
  ];
  const count = safe(recordAt + 32);
  if (disks.some((disk) => disk !== 0) || view.getUint32(locatorAt + 16, true) > 1 || safe(recordAt + 24) !== count)
    fail(splitZip, tailStart + recordAt);
  if (count === 0)
    fail('its ZIP64 record says that it holds no files. The file is corrupt: download it again.', tailStart + recordAt);
  const size = safe(recordAt + 40);
  const start = safe(recordAt + 48);
  const agree = (value: number, wide: number, mark: number) => value === mark || value === wide;
  if (
    !small.counts.every((value) => agree(value, count, elsewhere16)) ||
    !small.disks.every((value) => agree(value, 0, elsewhere16)) ||
    !agree(small.size, size, elsewhere32) ||
    !agree(small.start, start, elsewhere32)
  )
    fail('its end record and its ZIP64 record disagree. The file is corrupt: download it again.');
  return { start, size, count, at: tailStart + recordAt };
}

const splitZip = 'it is one part of a split zip, which cannot be read. Join the parts, or save with numpy.savez.';
const absurd = (value: bigint) => `a length or position of ${value} is absurd. The file is corrupt: download it again.`;

function checkEnd({ start, size, count, at }: End, file: string): void {
  const fail = (problem: string): never => {
    throw new WeightFileError({ file, offset: at }, problem);
  };
  if (count > mostMembers || size > longestDirectory)
    fail(
      `its directory is said to hold ${count} files in ${size} bytes; at most ${mostMembers} in ${longestDirectory} are ` +
        'read. It is corrupt, or no checkpoint.',
    );
  if (count * centralBytes > size)
    fail(`its directory is said to hold ${count} files in ${size} bytes, which is too little. The file is corrupt.`);
  if (start + size !== at)
    fail(
      `its directory is said to lie at ${start} with ${size} bytes, but must end at ${at}. The file is truncated, or ` +
        'something was put before it: download it again.',
    );
}

function readMembers(bytes: Uint8Array, end: End, file: string): ZipMember[] {
  const view = viewOf(bytes);
  const members: ZipMember[] = [];
  const names = new Set<string>();
  let at = 0;
  for (let i = 0; i < end.count; i++) {
    const offset = end.start + at;
    const corrupt = (): never => {
      throw new WeightFileError(
        { file, offset },
        `entry ${i + 1} of ${end.count} of its directory is cut short or damaged. The file is corrupt: download it again.`,
      );
    };
    if (at + centralBytes > bytes.length || view.getUint32(at, true) !== signature.central) corrupt();
    const nameEnd = at + centralBytes + view.getUint16(at + 28, true);
    const extraEnd = nameEnd + view.getUint16(at + 30, true);
    const next = extraEnd + view.getUint16(at + 32, true);
    if (next > bytes.length) corrupt();
    const flags = view.getUint16(at + 8, true);
    const name = memberName(bytes.subarray(at + centralBytes, nameEnd), flags, { file, offset });
    const fail = (problem: string): never => {
      throw new WeightFileError({ file, tensor: tensorName(name), offset }, problem);
    };
    const version = view.getUint8(at + 6);
    if (version > latestVersion) fail(`it needs version ${version / 10} of the zip format. The file is corrupt.`);
    checkStored(flags, view.getUint16(at + 10, true), fail);
    const wide = readZip64(
      bytes.subarray(nameEnd, extraEnd),
      [view.getUint32(at + 24, true), view.getUint32(at + 20, true), view.getUint32(at + 42, true)],
      fail,
    );
    const [size, compressed, headerAt] = wide as [number, number, number];
    const disk = view.getUint16(at + 34, true);
    if (disk !== 0 && disk !== elsewhere16) fail(splitZip);
    if (size !== compressed)
      fail(`it is stored as it is, yet said to take ${compressed} bytes for ${size}. It is corrupt.`);
    if (headerAt + localBytes + size > end.start)
      fail(
        `it takes ${size} bytes from ${headerAt} on, but the files end at ${end.start}. The file is truncated or corrupt.`,
      );
    if (names.has(name)) fail('two arrays have this name.');
    names.add(name);
    members.push({ name, offset: headerAt, size, crc: view.getUint32(at + 16, true) });
    at = next;
  }
  if (at !== bytes.length)
    throw new WeightFileError(
      { file, offset: end.start + at },
      `${bytes.length - at} bytes of its directory belong to no entry. The file is corrupt: download it again.`,
    );
  return members;
}

/** The name without `.npy`, for messages too. */
export function tensorName(member: string): string {
  return member.replace(/\.npy$/, '').slice(0, 200);
}

function memberName(bytes: Uint8Array, flags: number, where: { file: string; offset: number }): string {
  const ascii = bytes.every((byte) => byte < 0x80);
  let name: string | undefined;
  try {
    if (ascii || (flags & flag.utf8) !== 0)
      name = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    // Not UTF-8: no name.
  }
  if (name === undefined)
    throw new WeightFileError(
      where,
      'the name of an array is not UTF-8, or not marked as UTF-8. Rename it, or save with numpy.savez.',
    );
  const shown = JSON.stringify(name.slice(0, 100));
  if (/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\\]/u.test(name))
    throw new WeightFileError(where, `the name ${shown} has control characters or backslashes. Rename the array.`);
  if (!/.\.npy$/.test(name))
    throw new WeightFileError(
      where,
      `it holds a file ${shown}; numpy.savez writes only arrays, with names in .npy. Is it another kind of zip, or one ` +
        'packed by hand? Save it with numpy.savez.',
    );
  return name;
}

type Fail = (problem: string) => never;

function checkStored(flags: number, method: number, fail: Fail): void {
  if ((flags & encryption) !== 0) fail('it is encrypted. Decrypt the file first.');
  if ((flags & flag.patch) !== 0) fail('it is a patch, not an array.');
  if (method === deflate)
    fail('it is compressed, so that it cannot be read in pieces. Save with numpy.savez, not numpy.savez_compressed.');
  if (method !== 0) fail(`it is compressed by method ${method}. Save with numpy.savez.`);
}

/** The fields whose place says "elsewhere" from the ZIP64 extra field, in its fixed order; the others as they are. */
function readZip64(extra: Uint8Array, fields: readonly number[], fail: Fail): number[] {
  const view = viewOf(extra);
  let at = 0;
  let record: { at: number; end: number } | undefined;
  // Other extra fields (times, alignment) are skipped, and less than a header at the end is padding.
  while (at + 4 <= extra.length) {
    const next = at + 4 + view.getUint16(at + 2, true);
    if (next > extra.length) fail('its extra fields are damaged. The file is corrupt: download it again.');
    if (view.getUint16(at, true) === zip64Extra) {
      if (record !== undefined) fail('it has two ZIP64 fields. The file is corrupt: download it again.');
      record = { at: at + 4, end: next };
    }
    at = next;
  }
  return fields.map((field) => {
    if (field !== elsewhere32) return field;
    if (record === undefined || record.at + 8 > record.end)
      return fail('a ZIP64 size or position is missing. The file is corrupt: download it again.');
    record.at += 8;
    return safeInteger(view, record.at - 8, (value) => fail(absurd(value)));
  });
}

function safeInteger(view: DataView, at: number, fail: (value: bigint) => never): number {
  const value = view.getBigUint64(at, true);
  return value > BigInt(Number.MAX_SAFE_INTEGER) ? fail(value) : Number(value);
}

/** Bytes of a local header with its name and extra fields, once its fixed part is there. */
export function localHeaderLength(bytes: Uint8Array, fail: Fail): number {
  const view = viewOf(bytes);
  if (bytes.length < localBytes || view.getUint32(0, true) !== signature.local)
    fail('there is no local header where the directory says. The file is corrupt: download it again.');
  return localBytes + view.getUint16(26, true) + view.getUint16(28, true);
}

/** Checks that the whole local header in `bytes` says what the directory says. */
export function checkLocalHeader(bytes: Uint8Array, member: ZipMember, where: { file: string }, fail: Fail): void {
  const view = viewOf(bytes);
  const flags = view.getUint16(6, true);
  checkStored(flags, view.getUint16(8, true), fail);
  const nameEnd = localBytes + view.getUint16(26, true);
  const name = memberName(bytes.subarray(localBytes, nameEnd), flags, { ...where, offset: member.offset });
  const crc = view.getUint32(14, true);
  const sizes = readZip64(bytes.subarray(nameEnd), [view.getUint32(22, true), view.getUint32(18, true)], fail);
  // A writer that cannot go back leaves zeros here and writes the true ones behind the data and in the directory.
  const open = (flags & flag.sizesAfterData) !== 0 && crc === 0 && sizes.every((size) => size === 0);
  const agrees = name === member.name && (open || (crc === member.crc && sizes.every((size) => size === member.size)));
  if (!agrees) {
    fail(
      `its local header says ${JSON.stringify(tensorName(name))} with ${sizes[0]} bytes, the directory ${member.size} bytes` +
        `${crc === member.crc || open ? '' : ' and another checksum'}. The file is corrupt: download it again.`,
    );
  }
}
