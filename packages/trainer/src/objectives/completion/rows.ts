import { showValue } from '@lapidary/gemma';
import * as v from 'valibot';
import { DatasetError } from '../../data/errors.js';

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
/** Forms that rows may have. */
export type RowFormat = keyof typeof forms;

export type ImageReference = v.InferOutput<typeof image>;
export type CompletionRow = v.InferOutput<typeof forms.completion>;
export type MessagesRow = v.InferOutput<typeof forms.messages>;
export type TextRow = v.InferOutput<typeof forms.text>;

/** A row of text, whichever its form, and the line it stands on (or its number in a list). */
export type TextualRow = (CompletionRow | MessagesRow | TextRow) & { readonly line: number };

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
export function imagesOf(row: TextualRow): readonly ImageReference[] {
  if (!('prompt' in row)) return [];
  return [...(row.image === undefined ? [] : [row.image]), ...(row.images ?? [])];
}

/** What a value is as a row. @throws DatasetError naming line and field */
export function parseRow(value: unknown, file: string, line: number, format: RowFormat | 'auto' = 'auto'): TextualRow {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new DatasetError({
      file,
      line,
      message: `a row must be an object such as {"prompt": "…", "completion": "…"}, not ${showValue(value, 40)}`,
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
