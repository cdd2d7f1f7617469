import type { ByteSource } from '@lapidary/weights';
import type { Data, RecordBatch } from 'apache-arrow';
import { DatasetError } from '../../errors.js';
import type { FoundRow } from '../found-row.js';
import { plainValue } from '../plain-value.js';
import { checkColumns } from './check-columns.js';
import { arrowMessages } from './messages.js';

/** Apache Arrow's stream, as `datasets.save_to_disk` writes it, one batch in memory at a time; or its file format
 * (Feather 2). */
export async function* readArrowRows(source: ByteSource): AsyncGenerator<FoundRow> {
  const { name: file } = source;
  const { Message, RecordBatchReader, Type } = await import('apache-arrow');
  let line = 1;
  const named = async <T>(read: () => Promise<T>): Promise<T> => {
    try {
      return await read();
    } catch (cause) {
      const { message } = cause as Error;
      const why = /codec not found/.test(message)
        ? "it is packed, as to_feather does by default: write it with compression='uncompressed', or as Parquet"
        : message.slice(0, 300);
      throw new DatasetError({ file, message: `this Arrow file cannot be read: ${why}` }, { cause });
    }
  };
  const batches = await named(async () => (await RecordBatchReader.from(arrowMessages(source, Message.decode))).open());
  const checked = new WeakSet<Data>();
  for (;;) {
    const values = await named(async () => {
      const { done, value } = await batches.next();
      if (done === true) return undefined;
      if (value.numRows > 0) checkColumns(value, { Type }, checked);
      return rowsOf(value);
    });
    if (values === undefined) return;
    for (const value of values) yield { value, line: line++ };
  }
}

function rowsOf(batch: RecordBatch): object[] {
  const columns = batch.schema.fields.map(({ name }, i) => ({ name, values: batch.getChildAt(i) }));
  return Array.from({ length: batch.numRows }, (_, i) => {
    const row = Object.fromEntries(columns.map(({ name, values }) => [name, fromArrow(values?.get(i))]));
    return plainValue(row) as object;
  });
}

/** Arrow's own lists and rows as lists and objects. */
function fromArrow(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return value;
  if ('toArray' in value && Symbol.iterator in value) return Array.from(value as Iterable<unknown>, fromArrow);
  if (!('toJSON' in value) || value instanceof Date) return value;
  const entries = Object.entries((value as { toJSON(): object }).toJSON());
  return Object.fromEntries(entries.map(([key, each]) => [key, fromArrow(each)]));
}
