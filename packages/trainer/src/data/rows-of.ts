import { EmptyDatasetError } from './errors.js';

/** Makes a row of a value on a line. @throws DatasetError */
export type RowParser<R> = (value: unknown, file: string, line: number) => R;

/** Rows that are at hand as objects. @throws DatasetError */
export function rowsOf<R>(values: readonly object[], parse: RowParser<R>, name = 'data'): R[] {
  if (values.length === 0) throw new EmptyDatasetError({ file: name, message: 'there are no rows' });
  return values.map((value, i) => parse(value, name, i + 1));
}
