import type { ByteSource } from '@lapidary/weights';
import { DatasetError } from '../errors.js';
import { lineBlocks } from '../line-blocks.js';
import type { FoundRow } from './found-row.js';
import { parseRowJson } from '../parse-row-json.js';

/** One JSON value a line; blank lines are passed over. */
export async function* readJsonlRows(source: ByteSource): AsyncGenerator<FoundRow> {
  for await (const { text, line } of lineBlocks(source)) yield* parseLines(text, source.name, line);
}

/** Values of lines, the first of which is number `firstLine`. @throws DatasetError for a line that is no JSON */
export function* parseLines(text: string, file: string, firstLine = 1): Generator<FoundRow> {
  let line = firstLine;
  for (let start = 0; start < text.length; line++) {
    const newline = text.indexOf('\n', start);
    const end = newline < 0 ? text.length : newline;
    const content = text.slice(start, end).trim();
    start = end + 1;
    if (content !== '') yield { value: parseLine(content, file, line), line };
  }
}

function parseLine(content: string, file: string, line: number): unknown {
  try {
    return parseRowJson(content);
  } catch (error) {
    const at = Number(/position (\d+)/.exec((error as Error).message)?.[1] ?? 0);
    const excerpt = content.slice(Math.max(0, at - 20), at + 20);
    throw new DatasetError({
      file,
      line,
      column: at + 1,
      message: `this line is no valid JSON near «${excerpt}» (${(error as Error).message}). Every line must hold one JSON object.`,
    });
  }
}
