import type { ByteSource } from '@lapidary/weights';
import type { FileMetaData } from 'hyparquet';
import { DatasetError } from '../errors.js';
import type { FoundRow } from './found-row.js';
import { plainValue } from './plain-value.js';

/** Apache Parquet, one group of rows in memory at a time. */
export async function* readParquetRows(source: ByteSource): AsyncGenerator<FoundRow> {
  const [{ parquetMetadataAsync, parquetReadObjects }, { compressors }] = await Promise.all([
    import('hyparquet'),
    import('hyparquet-compressors'),
  ]);
  const file = { byteLength: source.size, slice: (start: number, end = source.size) => bytesOf(source, start, end) };
  const metadata = await named(source, () => parquetMetadataAsync(file, { geoparquet: false }));
  checkGroups(source, metadata);
  let rowStart = 0;
  for (const { num_rows } of metadata.row_groups) {
    const rowEnd = rowStart + Number(num_rows);
    // Bytes that are not said to be text stay bytes: pictures.
    const read = { file, metadata, rowStart, rowEnd, compressors, parsers: { stringFromBytes }, utf8: false };
    const values = await named(source, async () => (await parquetReadObjects(read)).map(plainValue));
    for (let i = 0; i < values.length; i++) yield { value: values[i], line: rowStart + i + 1 };
    rowStart = rowEnd;
  }
}

async function bytesOf(source: ByteSource, start: number, end: number): Promise<ArrayBuffer> {
  const bytes = await source.read(start, end - start);
  return bytes.byteLength === bytes.buffer.byteLength && bytes.buffer instanceof ArrayBuffer
    ? bytes.buffer
    : bytes.slice().buffer;
}

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
/** Called for cells that are null too. */
function stringFromBytes(bytes: Uint8Array | undefined): string | undefined {
  return bytes && strict.decode(bytes);
}

/** Bytes of one group, unpacked: all of them are in memory at once. */
const largestGroup = 4 * 2 ** 30;
/** The footer states counts before anything is read. */
function checkGroups({ name: file }: ByteSource, { row_groups: groups }: FileMetaData): void {
  groups.forEach(({ num_rows: rows, columns }, i) => {
    const fail = (message: string): never => {
      throw new DatasetError({ file, message: `row group ${i} ${message}` });
    };
    let bytes = 0;
    for (const { meta_data: column } of columns) {
      if (column === undefined)
        return fail('says nothing of its columns. The file is damaged: download or write it again.');
      bytes += Number(column.total_uncompressed_size);
    }
    if (rows < 0n || rows > 2n ** 31n || !(bytes >= 0)) fail('states counts that cannot be. The file is damaged.');
    if (bytes > largestGroup)
      fail(`has ${bytes} bytes, all of which are read at once. Write the file in smaller row groups.`);
  });
}

/** Errors of the library with the file's name. */
async function named<T>({ name: file }: ByteSource, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (cause) {
    const { message } = cause as Error;
    throw new DatasetError({ file, message: `this Parquet file cannot be read: ${message.slice(0, 300)}` }, { cause });
  }
}
