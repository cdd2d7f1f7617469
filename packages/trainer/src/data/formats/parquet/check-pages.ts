import type { ColumnMetaData, Compressors, FileMetaData, SchemaTree } from 'hyparquet/src/types.js';

/** Parts of the library that reads Parquet, which is loaded when it is needed. */
export interface ParquetParts {
  readonly parquetHeader: typeof import('hyparquet/src/column.js').parquetHeader;
  readonly decompressPage: typeof import('hyparquet/src/datapage.js').decompressPage;
  readonly readRleBitPackedHybrid: typeof import('hyparquet/src/encoding.js').readRleBitPackedHybrid;
  readonly schema: typeof import('hyparquet/src/schema.js');
  readonly compressors: Compressors;
}

export async function loadParquetParts(): Promise<ParquetParts> {
  const [{ parquetHeader }, { decompressPage }, { readRleBitPackedHybrid }, schema, { compressors }] =
    await Promise.all([
      import('hyparquet/src/column.js'),
      import('hyparquet/src/datapage.js'),
      import('hyparquet/src/encoding.js'),
      import('hyparquet/src/schema.js'),
      import('hyparquet-compressors'),
    ]);
  return { parquetHeader, decompressPage, readRleBitPackedHybrid, schema, compressors };
}

/** Bytes of one group, unpacked: all of them are in memory at once. */
const largestGroup = 4 * 2 ** 30;
/** Most bytes that a packed one stands for: above what gzip, and rows as they are, can reach. */
const mostUnpacked = 4096;
/** Most values for each byte of a group: nulls, and one value again and again, take next to none. */
const valuesOfByte = 256;
/** So many values, and bytes, there may be in any case. */
const always = 65_536;

/** What a group of rows says of itself, before anything of it is read. @throws Error saying what is wrong */
export function checkGroup(
  { num_rows, columns }: FileMetaData['row_groups'][number],
  { root, size, at, schema }: { root: SchemaTree; size: number; at: string; schema: ParquetParts['schema'] },
): void {
  const rows = Number(num_rows);
  let bytes = 0;
  let values = rows;
  const paths: string[] = [];
  for (const { meta_data: column } of columns) {
    if (column === undefined)
      throw new Error(`${at} says nothing of its columns. The file is damaged: download or write it again.`);
    const unpacked = Number(column.total_uncompressed_size);
    const packed = Number(column.total_compressed_size);
    const count = Number(column.num_values);
    const path = column.path_in_schema.join('.');
    const isFlat = schema.isFlatColumn(schema.getTreePath(root, column.path_in_schema));
    if (!(packed >= 0 && packed <= size && unpacked >= 0 && unpacked <= always + mostUnpacked * packed && count >= 0))
      throw new Error(`${at} states counts that cannot be. The file is damaged.`);
    if (isFlat && count !== rows) throw new Error(`${at} states ${rows} rows, and ${count} values of ${path}`);
    paths.push(path);
    bytes += unpacked;
    values += count;
  }
  if (bytes > largestGroup)
    throw new Error(`${at} has ${bytes} bytes, all of which are read at once. Write the file in smaller row groups.`);
  if (!(rows >= 0) || values > always + valuesOfByte * bytes)
    throw new Error(`${at} states counts that cannot be. The file is damaged.`);
  const wanted = schema.getPhysicalColumns(root).sort();
  if (paths.sort().join('\n') !== wanted.join('\n'))
    throw new Error(`${at} has the columns ${paths.join(', ')}, and the file's are ${wanted.join(', ')}`);
}

/**
 * Whether the pages of a column hold what they say: the library believes each count of values, and each run of one value.
 * @throws Error saying what is wrong
 */
export function checkPages(
  bytes: Uint8Array,
  column: ColumnMetaData,
  path: SchemaTree[],
  { parquetHeader, decompressPage, readRleBitPackedHybrid, schema, compressors }: ParquetParts,
): void {
  const name = `column '${column.path_in_schema.join('.')}'`;
  const mostDefined = schema.getMaxDefinitionLevel(path);
  const mostRepeated = schema.getMaxRepetitionLevel(path);
  const reader = { view: viewOf(bytes), offset: 0 };
  let values = 0;
  let unpackedBytes = 0;
  let entries: number | undefined;
  const need = (holds: boolean, what: string) => {
    if (!holds) throw new Error(`a page of ${name} ${what}. The file is damaged.`);
  };
  /** Values in runs. @throws Error for runs of more than they should have */
  const runs = (page: Uint8Array, width: number, count: number): number[] => {
    need(width >= 0 && width <= 32, `states numbers of ${width} bits`);
    need(runsAreWithin(page, width, count), 'states more values than it holds');
    const read = new Array<number>(count);
    readRleBitPackedHybrid({ view: viewOf(page), offset: 0 }, width, read, page.length);
    return read;
  };
  /** How many values are there, by their levels of definition. */
  const countDefined = (page: Uint8Array, count: number) =>
    runs(page, bitsOf(mostDefined), count).reduce((sum, level) => sum + Number(level === mostDefined), 0);
  const checkIndices = (page: Uint8Array, count: number) => {
    if (count === 0) return;
    need(page.length > 0, 'ends before its values');
    const most = entries ?? 0;
    const width = page[0] ?? 0;
    const wrong =
      width === 0 ? most === 0 : runs(page.subarray(1), width, count).some((index) => !(index >>> 0 < most));
    need(!wrong, `names an entry of a dictionary that has ${most}`);
  };
  const isOfDictionary = (encoding: string) => encoding === 'RLE_DICTIONARY' || encoding === 'PLAIN_DICTIONARY';

  while (reader.offset < bytes.length - 1) {
    const header = parquetHeader(reader);
    const { compressed_page_size: packed, uncompressed_page_size: unpacked } = header;
    need(packed >= 0 && packed <= bytes.length - reader.offset, `states ${packed} bytes`);
    unpackedBytes += unpacked;
    need(unpacked >= 0 && unpackedBytes <= Number(column.total_uncompressed_size), `states ${unpacked} bytes`);
    const body = bytes.subarray(reader.offset, reader.offset + packed);
    reader.offset += packed;
    const unpack = (part: Uint8Array, size: number) => decompressPage(part, size, column.codec, compressors);

    if (header.dictionary_page_header !== undefined) {
      const { num_values: count } = header.dictionary_page_header;
      need(count >= 0 && count <= unpacked, `states ${count} entries`);
      entries = count;
    } else if (header.data_page_header !== undefined) {
      const { num_values: count, encoding } = header.data_page_header;
      values += count;
      need(count >= 0 && values <= Number(column.num_values), `states ${count} values`);
      let page = unpack(body, unpacked);
      /** Levels, whose bytes are counted by the number they begin with. */
      const levels = () => {
        const length = page.length < 4 ? page.length : viewOf(page).getUint32(0, true);
        need(length + 4 <= page.length, `states ${length} bytes of levels`);
        const part = page.subarray(4, 4 + length);
        page = page.subarray(4 + length);
        return part;
      };
      if (mostRepeated > 0) runs(levels(), bitsOf(mostRepeated), count);
      const defined = mostDefined > 0 ? countDefined(levels(), count) : count;
      if (isOfDictionary(encoding)) checkIndices(page, defined);
      else if (encoding === 'RLE') runs(levels(), 1, defined);
    } else if (header.data_page_header_v2 !== undefined) {
      const {
        num_values: count,
        num_nulls: nulls,
        num_rows: rows,
        repetition_levels_byte_length: repeatedBytes,
        definition_levels_byte_length: definedBytes,
        encoding,
        is_compressed: isPacked,
      } = header.data_page_header_v2;
      values += count;
      need(count >= 0 && values <= Number(column.num_values), `states ${count} values`);
      need(rows >= 0 && rows <= count && nulls >= 0 && nulls <= count, `states ${rows} rows and ${nulls} nulls`);
      const start = repeatedBytes + definedBytes;
      need(
        repeatedBytes >= 0 && definedBytes >= 0 && start <= Math.min(packed, unpacked),
        `states levels of ${start} bytes`,
      );
      if (mostRepeated > 0) runs(body.subarray(0, repeatedBytes), bitsOf(mostRepeated), count);
      const defined = mostDefined > 0 ? countDefined(body.subarray(repeatedBytes, start), count) : count;
      need(defined === count - nulls, `states ${nulls} nulls of ${count} values`);
      const rest = body.subarray(start);
      const page = isPacked !== false && unpacked > start ? unpack(rest, unpacked - start) : rest;
      if (isOfDictionary(encoding)) checkIndices(page, defined);
      else if (encoding === 'RLE') runs(page.subarray(4), 1, defined);
    }
  }
  if (values !== Number(column.num_values))
    throw new Error(`${name} states ${column.num_values} values, and has ${values}. The file is damaged.`);
}

const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const bitsOf = (most: number) => 32 - Math.clz32(most);

/** Values that writers fill up a last run of packed ones with, at most. */
const padding = 512;

/** Whether runs (each a count, and one value or packed ones) have `count` values and not many more. */
function runsAreWithin(bytes: Uint8Array, width: number, count: number): boolean {
  let at = 0;
  for (let seen = 0; seen < count; ) {
    let header = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++];
      if (byte === undefined || shift > 28) return false;
      header += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) break;
    }
    const isPacked = header % 2 === 1;
    const length = isPacked ? 8 * ((header - 1) / 2) : header / 2;
    if (length > count - seen + (isPacked ? padding : 0)) return false;
    // The last bytes of packed values may be left out where they are filling.
    at += isPacked ? (length * width) / 8 : Math.ceil(width / 8);
    seen += length;
    if (seen < count && at > bytes.length) return false;
    if (length === 0 && at >= bytes.length && seen < count) return false;
  }
  return true;
}
