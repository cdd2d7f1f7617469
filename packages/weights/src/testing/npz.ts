import { type ByteSource, checkRange } from '../source/byte-source.js';

/** A .npy file out of a header as it is, however wrong. */
export function npy(
  header: string,
  data: Uint8Array | number,
  { version = [1, 0], length }: { version?: [number, number]; length?: number } = {},
): Uint8Array {
  const text = version[0] === 3 ? new TextEncoder().encode(header) : Uint8Array.from(header, (c) => c.charCodeAt(0));
  const start = version[0] === 1 ? 10 : 12;
  const values = typeof data === 'number' ? new Uint8Array(data) : data;
  const file = new Uint8Array(start + text.length + values.length);
  file.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, ...version]);
  const view = new DataView(file.buffer);
  if (version[0] === 1) view.setUint16(8, length ?? text.length, true);
  else view.setUint32(8, length ?? text.length, true);
  file.set(text, start);
  file.set(values, start + text.length);
  return file;
}

/** What numpy writes: padded with blanks to a multiple of 64, with a line end. */
export function npyHeader(descr: string, shape: string, order = 'False'): string {
  const text = `{'descr': ${descr}, 'fortran_order': ${order}, 'shape': ${shape}, }`;
  return `${text.padEnd(Math.ceil((text.length + 11) / 64) * 64 - 11)}\n`;
}

interface Fields {
  signature?: number;
  flags?: number;
  method?: number;
  crc?: number;
  compressed?: number;
  size?: number;
  name?: string | Uint8Array;
  extra?: Uint8Array;
}

export interface ZipPart {
  readonly name: string;
  readonly bytes: Uint8Array;
  /** Zero bytes after them that take no memory. */
  readonly blank?: number;
  /** Sizes (and the position) in ZIP64 fields, as numpy writes them in local headers. */
  readonly zip64?: boolean;
  readonly local?: Fields;
  readonly central?: Fields & { offset?: number; disk?: number; nameLength?: number; version?: number };
  /** Bytes between the data and the next part. */
  readonly after?: Uint8Array;
}

interface EndFields {
  disk?: number;
  entriesHere?: number;
  entries?: number;
  size?: number;
  start?: number;
}

export interface ZipOptions {
  readonly comment?: string;
  readonly end?: EndFields;
  /** A ZIP64 record and its locator, before the end record. */
  readonly zip64?: EndFields & { length?: bigint; wideStart?: bigint };
  readonly locator?: { disk?: number; at?: number; disks?: number };
}

export interface Piece {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

const utf8 = (text: string | Uint8Array) => (typeof text === 'string' ? new TextEncoder().encode(text) : text);

function record(...fields: [bytes: 2 | 4 | 8, value: number | bigint][]): Uint8Array {
  const bytes: number[] = [];
  for (const [width, value] of fields)
    for (let i = 0; i < width; i++) bytes.push(Number((BigInt(value) >> BigInt(8 * i)) & 255n));
  return Uint8Array.from(bytes);
}

export function concat(...parts: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** A ZIP64 extra field. */
export const zip64Extra = (...values: (number | bigint)[]) =>
  concat(record([2, 1], [2, 8 * values.length]), record(...values.map((value) => [8, value] as [8, number | bigint])));

/** The pieces of a zip that hold something, each field as it should be unless an option says otherwise. */
export function zipPieces(parts: readonly ZipPart[], options: ZipOptions = {}): { size: number; pieces: Piece[] } {
  const pieces: Piece[] = [];
  const directory: Uint8Array[] = [];
  let at = 0;
  const put = (bytes: Uint8Array) => {
    pieces.push({ offset: at, bytes });
    at += bytes.length;
  };
  const wide = 0xffffffff;
  for (const { name, bytes, blank = 0, zip64 = false, local = {}, central = {}, after } of parts) {
    const offset = at;
    const size = bytes.length + blank;
    const flags = /[^\0-\x7f]/.test(name) ? 1 << 11 : 0;
    const fixed = (fields: Fields, extra: Uint8Array) => {
      const spelled = utf8(fields.name ?? name);
      return {
        fields: record(
          [2, fields.flags ?? flags],
          [2, fields.method ?? 0],
          [4, 0],
          [4, fields.crc ?? 7],
          [4, fields.compressed ?? (zip64 ? wide : size)],
          [4, fields.size ?? (zip64 ? wide : size)],
          [2, spelled.length],
          [2, extra.length],
        ),
        spelled,
      };
    };
    const localExtra = local.extra ?? (zip64 ? zip64Extra(size, size) : new Uint8Array(0));
    const localFields = fixed(local, localExtra);
    put(
      concat(record([4, local.signature ?? 0x04034b50], [2, 45]), localFields.fields, localFields.spelled, localExtra),
    );
    put(bytes);
    at += blank;
    if (after) put(after);
    const extra = central.extra ?? (zip64 ? zip64Extra(size, size, offset) : new Uint8Array(0));
    const { fields, spelled } = fixed(central, extra);
    if (central.nameLength !== undefined) new DataView(fields.buffer).setUint16(20, central.nameLength, true);
    directory.push(
      record([4, central.signature ?? 0x02014b50], [2, 45], [2, central.version ?? 45]),
      fields,
      record([2, 0], [2, central.disk ?? 0], [2, 0], [4, 0], [4, central.offset ?? (zip64 ? wide : offset)]),
      spelled,
      extra,
    );
  }
  const start = at;
  put(concat(...directory));
  const size = at - start;
  const count = parts.length;
  const { zip64, locator = {}, comment = '' } = options;
  if (zip64 !== undefined) {
    const recordAt = at;
    put(
      record(
        [4, 0x06064b50],
        [8, zip64.length ?? 44],
        [2, 45],
        [2, 45],
        [4, zip64.disk ?? 0],
        [4, 0],
        [8, zip64.entriesHere ?? count],
        [8, zip64.entries ?? count],
        [8, zip64.size ?? size],
        [8, zip64.wideStart ?? zip64.start ?? start],
      ),
    );
    put(record([4, 0x07064b50], [4, locator.disk ?? 0], [8, locator.at ?? recordAt], [4, locator.disks ?? 1]));
  }
  const end = options.end ?? {};
  put(
    concat(
      record(
        [4, 0x06054b50],
        [2, end.disk ?? 0],
        [2, 0],
        [2, end.entriesHere ?? (zip64 ? 0xffff : count)],
        [2, end.entries ?? (zip64 ? 0xffff : count)],
        [4, end.size ?? (zip64 ? wide : size)],
        [4, end.start ?? (zip64 ? wide : start)],
        [2, utf8(comment).length],
      ),
      utf8(comment),
    ),
  );
  return { size: at, pieces };
}

export function zip(parts: readonly ZipPart[], options: ZipOptions = {}): Uint8Array {
  const { size, pieces } = zipPieces(parts, options);
  const file = new Uint8Array(size);
  for (const { offset, bytes } of pieces) file.set(bytes, offset);
  return file;
}

/** A file of any size that is zero but for its pieces, and what was read of it. */
export function sparseSource(
  name: string,
  { size, pieces }: { size: number; pieces: readonly Piece[] },
): ByteSource & { readonly reads: [offset: number, length: number][] } {
  const source = {
    name,
    size,
    reads: [] as [number, number][],
    async read(offset: number, length: number, signal?: AbortSignal) {
      signal?.throwIfAborted();
      checkRange(source, offset, length);
      source.reads.push([offset, length]);
      const out = new Uint8Array(length);
      for (const piece of pieces) {
        const from = Math.max(offset, piece.offset);
        const to = Math.min(offset + length, piece.offset + piece.bytes.length);
        if (from < to) out.set(piece.bytes.subarray(from - piece.offset, to - piece.offset), from - offset);
      }
      return out;
    },
  };
  return source;
}
