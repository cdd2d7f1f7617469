import type { ChatTemplateKwargs } from '@lapidary/gemma';
import { parseRunFile, runFile, type RowsForm } from '@lapidary/trainer';
import type { CliContext } from '../cli-context.js';

/** What the rows of an adapter's run are, in words, and whether its prompts then go into the chat template. */
export const rowsForms: Readonly<Record<RowsForm, { readonly isChat: boolean; readonly rows: string }>> = {
  messages: { isChat: true, rows: 'rows {messages}' },
  completion: { isChat: false, rows: 'rows {prompt, completion}' },
  text: { isChat: false, rows: 'rows {text}' },
  mixed: { isChat: true, rows: 'rows of several forms' },
};

/** Rows that an adapter was trained on. */
export interface TrainedRows {
  readonly form?: RowsForm | undefined;
  /** What their chat template took beside messages. */
  readonly kwargs?: ChatTemplateKwargs | undefined;
}

/** What the run beside an adapter says of its rows; nothing where there is none. */
export async function readTrainedRows(adapter: string, context: CliContext): Promise<TrainedRows> {
  try {
    const { rows, config } = parseRunFile(await context.readFile(`${adapter}/${runFile}`), adapter);
    const { chatTemplateKwargs: kwargs } = {
      ...(config['data'] as { readonly chatTemplateKwargs?: ChatTemplateKwargs }),
    };
    return { form: rows, kwargs };
  } catch {
    return {};
  }
}
