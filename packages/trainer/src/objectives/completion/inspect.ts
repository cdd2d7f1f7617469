import type { Model, Tokenizer } from '@lapidary/gemma';
import type { InspectedRow, RowSource } from '../objective.js';
import { imagesOf, type ImageReference, type TextualRow } from './rows.js';
import { encodeTextualRow } from './tokenise.js';

/** Rows as they are encoded, before any is cut or left out. @throws DatasetError naming file and line */
export function* inspectRows(
  { rows, file, options }: RowSource<TextualRow>,
  tokenizer: Tokenizer,
  model: Model,
): Generator<InspectedRow> {
  const { imageToken } = model.vision ?? {};
  for (const row of rows) {
    const { tokens, learned } = encodeTextualRow(row, tokenizer, { lossOn: options.lossOn, model, file });
    const isText = tokens.map((id) => id !== imageToken);
    const text = tokens.filter((_, i) => isText[i]);
    yield {
      row,
      form: formOf(row),
      tokens: text,
      learned: learned.filter((_, i) => isText[i]),
      patches: tokens.length - text.length,
      pictures: imagesOf(row).map(nameOf),
    };
  }
}

function formOf(row: TextualRow): string {
  if ('messages' in row) return 'messages';
  if (!('prompt' in row)) return 'text';
  return imagesOf(row).length > 0 ? 'image, prompt, completion' : 'prompt, completion';
}

function nameOf(reference: ImageReference): string {
  if (typeof reference === 'string') return reference.startsWith('data:') ? `${reference.slice(0, 24)}…` : reference;
  const [name, size] =
    reference instanceof Blob
      ? ['name' in reference ? String(reference.name) : '', reference.size]
      : ['', reference.length];
  return name || `${size} bytes`;
}
