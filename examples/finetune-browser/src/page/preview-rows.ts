import { parseRow, readRows, type TextualRow } from '@lapidary/trainer';
import type { DataChoice } from '../session/protocol.js';

/** A row as one can read it. */
export interface PreviewedRow {
  readonly given: string;
  /** Those of its pictures that were chosen with the rows, and those that stand in them as `data:` addresses. */
  readonly pictures: readonly (File | string)[];
  readonly answer: string;
}

/** The first rows, for a look at what was chosen; none where they cannot be read: the plan says why. */
export async function previewRows(
  { name, rows, pictures }: DataChoice,
  count: number,
): Promise<readonly PreviewedRow[]> {
  const found: PreviewedRow[] = [];
  const byName = new Map(pictures.map((picture) => [picture.name, picture]));
  try {
    for await (const { value, line } of readRows(rows, name)) {
      found.push(preview(parseRow(value, name, line), byName));
      if (found.length === count) break;
    }
    return found;
  } catch {
    return [];
  }
}

const textOf = (part: object) => ('text' in part ? String(part.text) : JSON.stringify(part));

function preview(row: TextualRow, byName: ReadonlyMap<string, File>): PreviewedRow {
  if ('messages' in row) {
    const contents = row.messages.map(({ content, tool_calls: calls }) =>
      [
        ...(typeof content === 'string' ? [content] : [content ?? []].flat().map(textOf)),
        ...(calls ?? []).map((call) => JSON.stringify(call.function)),
      ].join('\n'),
    );
    return { given: contents.slice(0, -1).join('\n'), pictures: [], answer: contents.at(-1) ?? '' };
  }
  if ('text' in row) return { given: '', pictures: [], answer: row.text };
  const images = [...(row.image ? [row.image] : []), ...(row.images ?? [])];
  // Files come without their folders.
  const shownOf = (image: unknown): File | string | undefined => {
    if (typeof image !== 'string') return undefined;
    return image.startsWith('data:image/') ? image : byName.get(image.split('/').pop()!);
  };
  const names = images.map((image) => (shownOf(image) ? '' : `[${typeof image === 'string' ? image : 'picture'}] `));
  return {
    given: `${names.join('')}${row.prompt}`,
    pictures: images.flatMap((image) => shownOf(image) ?? []),
    answer: row.completion,
  };
}
