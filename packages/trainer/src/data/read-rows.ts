import * as v from 'valibot';
import { DatasetError, EmptyDatasetError } from './errors.js';

const message = v.object({ role: v.picklist(['system', 'user', 'model', 'assistant']), content: v.string() });

/** A path (from the folder of the data file), a URL, or what a page has at hand. */
const image = v.union([v.pipe(v.string(), v.nonEmpty('must not be empty')), v.instance(Blob), v.instance(Uint8Array)]);

const forms = {
  completion: v.object({
    prompt: v.string(),
    completion: v.pipe(v.string(), v.nonEmpty('must not be empty')),
    image: v.optional(image),
    images: v.optional(v.array(image)),
  }),
  messages: v.object({ messages: v.pipe(v.array(message), v.nonEmpty('must not be empty')) }),
  text: v.object({ text: v.pipe(v.string(), v.nonEmpty('must not be empty')) }),
};
export type RowFormat = keyof typeof forms;

export type ImageReference = v.InferOutput<typeof image>;
export type CompletionRow = v.InferOutput<typeof forms.completion>;
export type MessagesRow = v.InferOutput<typeof forms.messages>;
export type TextRow = v.InferOutput<typeof forms.text>;

/** A row of a data set, and the line it stands on (or its number in a list). */
export type Row = (CompletionRow | MessagesRow | TextRow) & { readonly line: number };

/** big_vision's rows say prefix and suffix. */
function withOurNames(value: object): object {
  const { prefix, suffix, ...rest } = value as Record<string, unknown>;
  return {
    ...(prefix !== undefined && { prompt: prefix }),
    ...(suffix !== undefined && { completion: suffix }),
    ...rest,
  };
}

/** The pictures of a row, in order. */
export function imagesOf(row: Row): readonly ImageReference[] {
  if (!('prompt' in row)) return [];
  return [...(row.image === undefined ? [] : [row.image]), ...(row.images ?? [])];
}

/** What a value is as a row. @throws DatasetError naming line and field */
export function parseRow(value: unknown, file: string, line: number, format: RowFormat | 'auto' = 'auto'): Row {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new DatasetError({
      file,
      line,
      message: `a row must be an object such as {"prompt": "…", "completion": "…"}, not ${JSON.stringify(value)?.slice(0, 40)}`,
    });
  }
  const told: RowFormat | undefined =
    format !== 'auto'
      ? format
      : 'messages' in value
        ? 'messages'
        : ['prompt', 'completion', 'prefix', 'suffix', 'image'].some((field) => field in value)
          ? 'completion'
          : 'text' in value
            ? 'text'
            : undefined;
  if (told === undefined) {
    throw new DatasetError({
      file,
      line,
      message: `a row needs {prompt, completion}, {messages} or {text}; this one has: ${Object.keys(value).join(', ') || 'nothing'}`,
    });
  }
  const result = v.safeParse(forms[told], told === 'completion' ? withOurNames(value) : value);
  if (!result.success) {
    const issue = result.issues[0];
    const field = v.getDotPath(issue) ?? told;
    throw new DatasetError({ file, line, message: `field '${field}': ${issue.message}` });
  }
  return { ...result.output, line };
}

/** Rows of a JSONL text: one JSON object a line; blank lines are passed over. @throws DatasetError */
export function readJsonl(text: string, file: string, format: RowFormat | 'auto' = 'auto'): Row[] {
  const rows: Row[] = [];
  text
    .replace(/^\ufeff/, '')
    .split('\n')
    .forEach((raw, i) => {
      const content = raw.trim();
      if (content === '') return;
      let value: unknown;
      try {
        value = JSON.parse(content);
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
      rows.push(parseRow(value, file, i + 1, format));
    });
  if (rows.length === 0) throw new EmptyDatasetError({ file, message: 'there are no rows' });
  return rows;
}

/** Rows that are at hand as objects. @throws DatasetError */
export function rowsOf(values: readonly unknown[], format: RowFormat | 'auto' = 'auto', name = 'data'): Row[] {
  if (values.length === 0) throw new EmptyDatasetError({ file: name, message: 'there are no rows' });
  return values.map((value, i) => parseRow(value, name, i + 1, format));
}
