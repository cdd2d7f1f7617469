import { blobSource, type ByteSource } from '@lapidary/weights';
import { DatasetError } from './errors.js';
import { readArrowRows } from './formats/arrow/arrow.js';
import { readTable } from './formats/csv.js';
import type { FoundRow, RowReader } from './formats/found-row.js';
import { readJsonRows } from './formats/json.js';
import { readJsonlRows } from './formats/jsonl.js';
import { readParquetRows } from './formats/parquet/parquet.js';

/** Readers by what names of files end with. */
const readers: Readonly<Record<string, RowReader>> = {
  jsonl: readJsonlRows,
  ndjson: readJsonlRows,
  json: readJsonRows,
  csv: readTable(','),
  tsv: readTable('\t'),
  parquet: readParquetRows,
  arrow: readArrowRows,
  feather: readArrowRows,
};

const endingOf = (name: string) => /\.(\w+)$/.exec(name)?.[1]?.toLowerCase() ?? '';

/** Whether a file is one of rows, as far as its name says. */
export const isRowsFile = (name: string): boolean => Object.hasOwn(readers, endingOf(name));

/** Formats that are told by their first bytes, whatever the name; those without a reader are refused. */
const signatures: readonly { readonly bytes: readonly number[]; readonly read: RowReader | string }[] = [
  { bytes: [0x50, 0x41, 0x52, 0x31], read: readParquetRows },
  { bytes: [0x41, 0x52, 0x52, 0x4f, 0x57, 0x31], read: readArrowRows },
  { bytes: [0xff, 0xff, 0xff, 0xff], read: readArrowRows },
  { bytes: [0x1f, 0x8b], read: 'it is packed with gzip: unpack it' },
  { bytes: [0x28, 0xb5, 0x2f, 0xfd], read: 'it is packed with zstd: unpack it' },
  { bytes: [0x50, 0x4b, 0x03, 0x04], read: 'it is a ZIP file, or a spreadsheet: unpack it, or save the table as CSV' },
];

/** How much of a file without a telling name is looked at. */
const headBytes = 64 * 1024;

/**
 * Values of a file of rows, one after the other, with their lines (or numbers): JSONL, JSON, CSV, TSV, Parquet or Arrow, told by its
 * first bytes and its name; a text of another name by what it begins with.
 * @throws DatasetError naming file and line
 */
export async function* readRows(given: ByteSource | Blob, name?: string): AsyncGenerator<FoundRow> {
  const source = given instanceof Blob ? blobSource(given, name) : given;
  const read = await readerOf(source);
  yield* read(source);
}

async function readerOf(source: ByteSource): Promise<RowReader> {
  const head = await source.read(0, Math.min(source.size, headBytes));
  const signature = signatures.find(({ bytes }) => bytes.every((byte, i) => head[i] === byte));
  if (typeof signature?.read === 'string')
    throw new DatasetError({ file: source.name, message: `rows cannot be read of this file: ${signature.read}` });
  const named = readers[endingOf(source.name)];
  if (signature !== undefined) return signature.read;
  if (named === readParquetRows || named === readArrowRows) {
    const text = head.length === 0 ? 'it is empty' : 'it does not begin as one';
    throw new DatasetError({ file: source.name, message: `this is no ${endingOf(source.name)} file: ${text}` });
  }
  return named ?? readerOfText(new TextDecoder().decode(head));
}

/** Of pasted rows, say. */
function readerOfText(text: string): RowReader {
  const start = text.replace(/^\ufeff/, '').trimStart();
  if (/^[[{]/.test(start)) return readJsonRows;
  const [first = ''] = start.split('\n');
  if (first.includes('\t')) return readTable('\t');
  return first.includes(',') ? readTable(',') : readJsonlRows;
}
