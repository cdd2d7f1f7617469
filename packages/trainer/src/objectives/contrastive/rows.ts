import { showValue } from '@lapidary/gemma';
import { DatasetError } from '../../data/errors.js';
import type { Row } from '../objective.js';

/** A text with one that belongs to it, and texts that do not. */
export interface ContrastiveRow extends Row {
  readonly anchor: string;
  readonly positive: string;
  readonly negatives: readonly string[];
}

/** What data sets call the text that is searched with, and the one that is to be found. */
const names = {
  anchor: ['anchor', 'query', 'question', 'sentence1', 'prompt'],
  positive: ['positive', 'document', 'passage', 'answer', 'sentence2', 'completion'],
} as const;

const example =
  '{"anchor": "…", "positive": "…"}, with "negative": "…" or "negatives": ["…"] beside them where there are any';

/** What a value is as a row of texts that belong together. @throws DatasetError naming file, line and field */
export function parseContrastiveRow(value: unknown, file: string, line: number): ContrastiveRow {
  const fail = (message: string): never => {
    throw new DatasetError({ file, line, message });
  };
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return fail(`a row must be an object such as ${example}, not ${showValue(value, 40)}`);
  const fields = value as Readonly<Record<string, unknown>>;
  const read = (part: keyof typeof names): string => {
    const found = names[part].filter((name) => fields[name] !== undefined && fields[name] !== null);
    const [name, other] = found;
    if (name === undefined)
      return fail(
        `a row needs ${example}; this one has no '${part}' (or ${names[part].slice(1).join(', ')}) but ${Object.keys(fields).slice(0, 20).join(', ') || 'nothing'}. Name its columns with \`data.promptKey\` and \`data.completionKey\``,
      );
    if (other !== undefined) return fail(`'${name}' and '${other}' may both be the ${part}: leave one of them out`);
    return textOf(name, fields[name], fail);
  };
  if (fields['chat_template_kwargs'] != null)
    fail("field 'chat_template_kwargs' (`data.chatTemplateKwargs`): only conversations go through a chat template");
  if ('score' in fields || 'label' in fields)
    fail(
      `field '${'score' in fields ? 'score' : 'label'}': scored pairs are not learned from; keep the pairs that belong together, without it`,
    );
  return { line, anchor: read('anchor'), positive: read('positive'), negatives: negativesOf(fields, fail) };
}

function textOf(field: string, value: unknown, fail: (message: string) => never): string {
  if (typeof value !== 'string' || value.trim() === '')
    return fail(`field '${field}': must be a text that is not empty, not ${showValue(value, 40)}`);
  return value;
}

/** `negative`, `negatives`, and `negative_1` and so on: a text each, or a list of them. */
function negativesOf(fields: Readonly<Record<string, unknown>>, fail: (message: string) => never): string[] {
  return Object.entries(fields).flatMap(([field, value]) => {
    if (!/^negatives?(_\d+)?$/.test(field) || value === null || value === undefined) return [];
    const values: readonly unknown[] = Array.isArray(value) ? value : [value];
    return values.map((each, i) => textOf(Array.isArray(value) ? `${field}.${i}` : field, each, fail));
  });
}
