import { JsonFloat, parseJson } from '@lapidary/gemma';
import { DatasetError, EmptyDatasetError } from './errors.js';

/** Makes a row of a value on a line. @throws DatasetError */
export type RowParser<R> = (value: unknown, file: string, line: number) => R;

/** What stands for a float while its text is read. */
const floatKey = '\0float';
const textOrNumber = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/** A row, with the whole numbers that its text writes as floats as such; but a turn's weight is a plain number. */
function withFloats(text: string, row: unknown): unknown {
  if (!/\d(\.0|[eE])/.test(text) || text.includes('\\u0000float')) return row;
  const isFloat = (token: string) => !token.startsWith('"') && /[.eE]/.test(token) && Number.isInteger(Number(token));
  const marked = text.replace(textOrNumber, (token) => (isFloat(token) ? `{"\\u0000float":${token}}` : token));
  return marked === text ? row : floatsOf(parseJson(marked), '');
}

function floatsOf(value: unknown, key: string): unknown {
  if (Array.isArray(value)) return value.map((each) => floatsOf(each, ''));
  if (typeof value !== 'object' || value === null) return value;
  const float = (value as Record<string, unknown>)[floatKey];
  if (typeof float === 'number') return key === 'weight' ? float : new JsonFloat(float);
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, floatsOf(each, name)]));
}

/** Rows of a JSONL text: one JSON object a line; blank lines are passed over. @throws DatasetError */
export function readJsonl<R>(text: string, file: string, parse: RowParser<R>): R[] {
  const rows: R[] = [];
  text
    .replace(/^\ufeff/, '')
    .split('\n')
    .forEach((raw, i) => {
      const content = raw.trim();
      if (content === '') return;
      let value: unknown;
      try {
        value = withFloats(content, parseJson(content));
      } catch (error) {
        const at = Number(/position (\d+)/.exec((error as Error).message)?.[1] ?? 0);
        const excerpt = content.slice(Math.max(0, at - 20), at + 20);
        throw new DatasetError({
          file,
          line: i + 1,
          column: at + 1,
          message: `this line is no valid JSON near «${excerpt}» (${(error as Error).message}). Every line must hold one JSON object.`,
        });
      }
      rows.push(parse(value, file, i + 1));
    });
  if (rows.length === 0) throw new EmptyDatasetError({ file, message: 'there are no rows' });
  return rows;
}

/** Rows that are at hand as objects. @throws DatasetError */
export function rowsOf<R>(values: readonly object[], parse: RowParser<R>, name = 'data'): R[] {
  if (values.length === 0) throw new EmptyDatasetError({ file: name, message: 'there are no rows' });
  return values.map((value, i) => parse(value, name, i + 1));
}
