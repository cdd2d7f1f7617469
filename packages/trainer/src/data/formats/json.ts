import type { ByteSource } from '@lapidary/weights';
import { decodeText, largestText } from '../decode-text.js';
import { DatasetError } from '../errors.js';
import type { FoundRow } from './found-row.js';
import { readJsonlRows } from './jsonl.js';
import { parseRowJson } from '../parse-row-json.js';

/** Fields of rows: an object that has one is a row, not what rows are in. */
const rowFields = ['prompt', 'completion', 'messages', 'conversations', 'text', 'instruction', 'prefix', 'suffix'];

/** A list, an object with one list in it, or a row; or one JSON object a line, which many call .json too. A list is read whole. */
export async function* readJsonRows(source: ByteSource): AsyncGenerator<FoundRow> {
  if (await isJsonl(source)) {
    yield* readJsonlRows(source);
    return;
  }
  const { name: file, size } = source;
  if (size > largestText)
    throw new DatasetError({
      file,
      message: `this file has ${size} bytes; of JSON in one piece at most ${largestText} are read. Write one object a line (JSONL).`,
    });
  const rows = rowsIn(parse(decodeText(await source.read(0, size), file), file), file);
  for (let i = 0; i < rows.length; i++) yield { value: rows[i], line: i + 1 };
}

/** How much of a first line is looked at. */
const headBytes = 2 ** 20;

/** Whether the first line is an object by itself, and others follow. */
async function isJsonl(source: ByteSource): Promise<boolean> {
  const head = new TextDecoder().decode(await source.read(0, Math.min(source.size, headBytes)));
  const [, first, rest] = /^\s*(\{[^\n]*)\n(.*)$/s.exec(head) ?? [];
  if (first === undefined || rest?.trim() === '') return false;
  try {
    parseRowJson(first);
    return true;
  } catch {
    return false;
  }
}

function parse(text: string, file: string): unknown {
  try {
    return parseRowJson(text);
  } catch (error) {
    const { message } = error as Error;
    // Engines say where for some mistakes, and for the others what stands there.
    const position = /position (\d+)/.exec(message)?.[1];
    const before = text.slice(0, Number(position ?? 0));
    const place =
      position === undefined
        ? {}
        : { line: before.split('\n').length, column: before.length - before.lastIndexOf('\n') };
    throw new DatasetError(
      { file, ...place, message: `this is no valid JSON (${message.slice(0, 200)}). It must hold a list of rows.` },
      { cause: error },
    );
  }
}

function rowsIn(value: unknown, file: string): readonly unknown[] {
  if (Array.isArray(value)) return value;
  const fail = (message: string): never => {
    throw new DatasetError({ file, message });
  };
  if (typeof value !== 'object' || value === null) return fail('a JSON file must hold a list of rows');
  if (rowFields.some((field) => Object.hasOwn(value, field))) return [value];
  const lists = Object.entries(value).filter((entry): entry is [string, unknown[]] => Array.isArray(entry[1]));
  const [only] = lists;
  if (lists.length === 1 && only !== undefined) return only[1];
  const keys = Object.keys(value).slice(0, 20).join(', ') || 'nothing';
  return fail(
    lists.length === 0
      ? `a JSON file must hold a list of rows, or an object with one; this object has: ${keys}`
      : `which of the lists ${lists
          .map(([key]) => `'${key}'`)
          .slice(0, 20)
          .join(', ')} holds the rows? Leave only that one.`,
  );
}
