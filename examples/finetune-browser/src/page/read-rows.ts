import { decodeText } from '@lapidary/trainer';
import { csvParseRows, tsvParseRows } from 'd3-dsv';

/** A file of rows as JSONL, one JSON object a line: JSONL as it is, a JSON list, or CSV or TSV with a line of column names. */
export async function toJsonl(file: Blob, name: string): Promise<Blob> {
  if (/\.(csv|tsv)$/i.test(name))
    return fromTable(await textOf(file, name), /\.tsv$/i.test(name) ? tsvParseRows : csvParseRows);
  const start = (await file.slice(0, 1024).text()).trimStart();
  // JSONL may be large, and is not read here.
  if (!start.startsWith('[')) return file;
  return fromList(JSON.parse(await textOf(file, name)) as unknown[]);
}

/** @throws DatasetError where it is not UTF-8 */
const textOf = async (file: Blob, name: string) => decodeText(new Uint8Array(await file.arrayBuffer()), name);

const fromList = (rows: readonly unknown[]) => new Blob([rows.map((row) => JSON.stringify(row)).join('\n')]);

function fromTable(text: string, parse: (text: string) => string[][]): Blob {
  const [columns = [], ...rows] = parse(text.replace(/^\ufeff/, '').trim());
  return fromList(rows.map((row) => Object.fromEntries(columns.map((column, i) => [column.trim(), row[i] ?? '']))));
}

const previewBytes = 64 * 1024;

/** The first rows as one can read them, for a look at what was chosen; none where they are no JSON. */
export async function previewRows(
  jsonl: Blob,
  count: number,
): Promise<{ readonly given: string; readonly answer: string }[]> {
  const text = await jsonl.slice(0, previewBytes).text();
  const lines = text.split('\n');
  // The last line may go on behind what was read.
  if (jsonl.size > previewBytes) lines.pop();
  try {
    return lines
      .filter((line) => line.trim() !== '')
      .slice(0, count)
      .map((line) => preview(JSON.parse(line) as Record<string, unknown>));
  } catch {
    return [];
  }
}

function preview(row: Record<string, unknown>) {
  const { messages } = row;
  if (Array.isArray(messages)) {
    const contents = (messages as { content?: unknown }[]).map(({ content }) => String(content));
    return { given: contents.slice(0, -1).join('\n'), answer: contents.at(-1) ?? '' };
  }
  const image = row['image'] ?? row['images'];
  const given = String(row['prompt'] ?? row['prefix'] ?? '');
  return {
    given: image === undefined ? given : `[${String(image)}] ${given}`,
    answer: String(row['completion'] ?? row['suffix'] ?? row['text'] ?? ''),
  };
}
