import type { ByteSource } from '@lapidary/weights';
import { DatasetError } from '../errors.js';
import { lineBlocks } from '../line-blocks.js';
import type { FoundRow, RowReader } from './found-row.js';

/** Columns that need not be filled. */
const optional = new Set(['image', 'images', 'tools', 'input', 'system']);

/** A table of texts with a line of column names, cells in quotes (RFC 4180) where they need it; `delimiter` parts them. */
export const readTable = (delimiter: ',' | '\t'): RowReader =>
  async function* (source: ByteSource): AsyncGenerator<FoundRow> {
    const { default: Papa } = await import('papaparse');
    const { name: file } = source;
    let columns: readonly string[] | undefined;
    // A cell may hold line ends: what follows the last whole row waits for the next block.
    let rest = '';
    let line = 1;
    let newline: '\n' | '\r' | undefined;
    for await (const { text, isLast } of lineBlocks(source)) {
      newline ??= text.includes('\r') && !text.includes('\n') ? '\r' : '\n';
      const given = rest + text;
      const { data, errors, meta } = new Papa.Parser({ delimiter, newline }).parse(given, 0, !isLast) as Parsed;
      const mistake = errors.find(({ row }) => row < data.length);
      for (const [i, cells] of data.entries()) {
        const at = line;
        for (const cell of cells) line += countOf('\n', cell);
        if (mistake?.row === i) throw new DatasetError({ file, line: at, message: messageOf(mistake) });
        line++;
        if (newline === '\n') cells.push((cells.pop() ?? '').replace(/\r$/, ''));
        if (cells.length === 1 && cells[0]?.trim() === '') continue;
        if (columns === undefined) columns = columnsOf(cells, file, at);
        else yield { value: rowOf(cells, columns, file, at), line: at };
      }
      rest = given.slice(meta.cursor);
    }
  };

/** What papaparse's Parser gives. */
interface Parsed {
  readonly data: string[][];
  readonly errors: readonly { readonly code: string; readonly row: number }[];
  readonly meta: { readonly cursor: number };
}

const messageOf = ({ code }: { readonly code: string }) =>
  code === 'MissingQuotes'
    ? 'the quote that a cell begins with here is never closed. Within a cell in quotes each quote is written twice.'
    : 'text follows the closing quote of a cell in this row. Within a cell in quotes each quote is written twice.';

function columnsOf(cells: readonly string[], file: string, line: number): readonly string[] {
  const columns = cells.map((cell) => cell.trim());
  const twice = columns.find((column, i) => column !== '' && columns.indexOf(column) !== i);
  if (twice !== undefined) throw new DatasetError({ file, line, message: `two columns are called '${twice}'` });
  return columns;
}

function rowOf(cells: readonly string[], columns: readonly string[], file: string, line: number): object {
  if (cells.length !== columns.length)
    throw new DatasetError({
      file,
      line,
      message: `this row has ${cells.length} cells, the line of column names ${columns.length} (${columns.join(', ')}). A cell with a separator in it must stand in quotes.`,
    });
  const entries = columns.map((column, i) => [column, cells[i] ?? ''] as const);
  // Without a name, as pandas writes its index; empty, where a column need not be filled.
  return Object.fromEntries(
    entries.filter(([column, cell]) => column !== '' && !(cell === '' && optional.has(column))),
  );
}

function countOf(character: string, text: string): number {
  let count = 0;
  for (let at = text.indexOf(character); at >= 0; at = text.indexOf(character, at + 1)) count++;
  return count;
}
