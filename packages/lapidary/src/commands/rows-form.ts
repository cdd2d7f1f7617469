import { parseRunFile, runFile, type RowsForm } from '@lapidary/trainer';
import type { CliContext } from '../cli-context.js';

/** What the rows of an adapter's run are, in words, and whether its prompts then go into the chat template. */
export const rowsForms: Readonly<Record<RowsForm, { readonly isChat: boolean; readonly rows: string }>> = {
  messages: { isChat: true, rows: 'rows {messages}' },
  completion: { isChat: false, rows: 'rows {prompt, completion}' },
  text: { isChat: false, rows: 'rows {text}' },
  mixed: { isChat: true, rows: 'rows of several forms' },
};

/** What the run beside an adapter says of its rows; undefined where there is none. */
export async function readRowsForm(adapter: string, context: CliContext): Promise<RowsForm | undefined> {
  try {
    return parseRunFile(await context.readFile(`${adapter}/${runFile}`), adapter).rows;
  } catch {
    return undefined;
  }
}
