import { EmptyDatasetError } from './errors.js';
import { parseLines } from './formats/jsonl.js';

/** Makes a row of a value on a line. @throws DatasetError */
export type RowParser<R> = (value: unknown, file: string, line: number) => R;

/** Rows of a JSONL text: one JSON object a line; blank lines are passed over. @throws DatasetError */
export function readJsonl<R>(text: string, file: string, parse: RowParser<R>): R[] {
  const rows = [...parseLines(text.replace(/^\ufeff/, ''), file)].map(({ value, line }) => parse(value, file, line));
  if (rows.length === 0) throw new EmptyDatasetError({ file, message: 'there are no rows' });
  return rows;
}

/** Rows that are at hand as objects. @throws DatasetError */
export function rowsOf<R>(values: readonly object[], parse: RowParser<R>, name = 'data'): R[] {
  if (values.length === 0) throw new EmptyDatasetError({ file: name, message: 'there are no rows' });
  return values.map((value, i) => parse(value, name, i + 1));
}
