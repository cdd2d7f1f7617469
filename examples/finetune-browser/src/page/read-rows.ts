import { csvParseRows, tsvParseRows } from 'd3-dsv';

/** A file of rows as JSONL, one JSON object a line: JSONL as it is, a JSON list, or CSV or TSV with a line of column names. */
export function toJsonl(text: string, name: string): string {
  const content = text.replace(/^\ufeff/, '').trim();
  if (/\.(csv|tsv)$/i.test(name)) return fromTable(content, /\.tsv$/i.test(name) ? tsvParseRows : csvParseRows);
  if (!content.startsWith('[')) return content;
  const list = JSON.parse(content) as unknown[];
  return list.map((row) => JSON.stringify(row)).join('\n');
}

function fromTable(text: string, parse: (text: string) => string[][]): string {
  const [columns = [], ...rows] = parse(text);
  return rows
    .map((row) => JSON.stringify(Object.fromEntries(columns.map((column, i) => [column.trim(), row[i] ?? '']))))
    .join('\n');
}

/** The first rows as one can read them, for a look at what was chosen; none where they are no JSON. */
export function previewRows(jsonl: string, count: number): { readonly given: string; readonly answer: string }[] {
  const lines: string[] = [];
  for (let at = 0; at < jsonl.length && lines.length < count; ) {
    const end = jsonl.indexOf('\n', at);
    const line = jsonl.slice(at, end < 0 ? jsonl.length : end).trim();
    if (line !== '') lines.push(line);
    at = end < 0 ? jsonl.length : end + 1;
  }
  try {
    return lines.map((line) => preview(JSON.parse(line) as Record<string, unknown>));
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
