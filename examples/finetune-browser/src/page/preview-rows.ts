import { parseRow, readRows, type TextualRow } from '@lapidary/trainer';
import type { DataChoice } from '../session/protocol.js';

/** A row as one can read it. */
export interface PreviewedRow {
  readonly given: string;
  readonly answer: string;
}

/** The first rows, for a look at what was chosen; none where they cannot be read: the plan says why. */
export async function previewRows(
  { name, rows }: Pick<DataChoice, 'name' | 'rows'>,
  count: number,
): Promise<readonly PreviewedRow[]> {
  const found: PreviewedRow[] = [];
  try {
    for await (const { value, line } of readRows(rows, name)) {
      found.push(preview(parseRow(value, name, line)));
      if (found.length === count) break;
    }
    return found;
  } catch {
    return [];
  }
}

function preview(row: TextualRow): PreviewedRow {
  if ('messages' in row) {
    const contents = row.messages.map(({ content }) =>
      typeof content === 'string' ? content : (content ?? []).map(({ text }) => text).join('\n'),
    );
    return { given: contents.slice(0, -1).join('\n'), answer: contents.at(-1) ?? '' };
  }
  if ('text' in row) return { given: '', answer: row.text };
  const images = [...(row.image ? [row.image] : []), ...(row.images ?? [])];
  const names = images.map((image) => `[${typeof image === 'string' ? image : 'picture'}] `).join('');
  return { given: `${names}${row.prompt}`, answer: row.completion };
}
