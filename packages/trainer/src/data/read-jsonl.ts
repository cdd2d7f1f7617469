import { EmptyDatasetError } from './errors.js';
import { parseLines } from './formats/jsonl.js';
import type { RowParser } from './rows-of.js';

/** Rows of a JSONL text: one JSON object a line; blank lines are passed over. @throws DatasetError */
export function readJsonl<R>(text: string, file: string, parse: RowParser<R>): R[] {
  const rows = [...parseLines(text.replace(/^\ufeff/, ''), file)].map(({ value, line }) => parse(value, file, line));
  if (rows.length === 0) throw new EmptyDatasetError({ file, message: 'there are no rows' });
  return rows;
}
