import type { ByteSource } from '@lapidary/weights';
import { DatasetError } from '../../errors.js';
import type { FoundRow } from '../found-row.js';
import { plainValue } from '../plain-value.js';
import { checkGroup, checkPages, loadParquetParts } from './check-pages.js';

/** Apache Parquet, one group of rows in memory at a time. */
export async function* readParquetRows(source: ByteSource): AsyncGenerator<FoundRow> {
  const [{ parquetMetadataAsync, parquetReadObjects, parquetSchema }, parts] = await Promise.all([
    import('hyparquet'),
    loadParquetParts(),
  ]);
  const { schema, compressors } = parts;
  const whole = { byteLength: source.size, slice: (start: number, end = source.size) => bytesOf(source, start, end) };
  const { metadata, root } = await named(source, async () => {
    const metadata = await parquetMetadataAsync(whole, { geoparquet: false });
    const root = parquetSchema(metadata);
    const names = root.children.map(({ element }) => element.name);
    const twice = names.find((name, i) => names.indexOf(name) !== i);
    if (twice !== undefined) throw new Error(`two columns are called '${twice}'`);
    metadata.row_groups.forEach((group, i) => {
      checkGroup(group, { root, size: source.size, at: `row group ${i}`, schema });
    });
    return { metadata, root };
  });
  let rowStart = 0;
  for (const { num_rows, columns } of metadata.row_groups) {
    const rowEnd = rowStart + Number(num_rows);
    if (rowEnd === rowStart) continue;
    const values = await named(source, async () => {
      const chunks = columns.flatMap(({ meta_data: column }) => {
        if (column === undefined) return [];
        const start = Number(column.dictionary_page_offset || column.data_page_offset);
        return [{ column, start, end: start + Number(column.total_compressed_size) }];
      });
      const first = Math.min(...chunks.map(({ start }) => start));
      const group = await source.read(first, Math.max(...chunks.map(({ end }) => end)) - first);
      for (const { column, start, end } of chunks) {
        const path = schema.getTreePath(root, column.path_in_schema);
        checkPages(group.subarray(start - first, end - first), column, path, parts);
      }
      const file = {
        byteLength: source.size,
        slice: (start: number, end = source.size) => group.slice(start - first, end - first).buffer,
      };
      // Bytes that are not said to be text stay bytes: pictures.
      const read = { file, metadata, rowStart, rowEnd, compressors, parsers: { stringFromBytes }, utf8: false };
      return (await parquetReadObjects(read)).map(plainValue);
    });
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

/** Errors of the library with the file's name. */
async function named<T>({ name: file }: ByteSource, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (cause) {
    const { message } = cause as Error;
    throw new DatasetError({ file, message: `this Parquet file cannot be read: ${message.slice(0, 300)}` }, { cause });
  }
}
