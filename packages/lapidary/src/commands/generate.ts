import { runFile } from '@lapidary/trainer';
import type { CliContext } from '../cli-context.js';
import type { GenerateRequest } from '../engine.js';
import { UsageError } from '../usage-error.js';
import { readAnswerFlags, type AnswerValues } from './answer-flags.js';
import { readRowsForm, rowsForms } from './rows-form.js';

export interface GenerateValues extends AnswerValues {
  readonly model?: string;
  readonly adapter?: string;
  readonly best?: boolean;
  readonly image?: readonly string[];
  readonly raw?: boolean;
  readonly chat?: boolean;
  readonly json?: boolean;
}

/** Answers a prompt; the text comes as it is made, with `--json` the result at the end. */
export async function generate(
  promptArgument: string | undefined,
  values: GenerateValues,
  context: CliContext,
): Promise<void> {
  const request = await readRequest(promptArgument, values, context);
  const isJson = values.json === true;
  const onText = (text: string) => {
    if (!isJson) context.out(text);
  };
  const onNotice = (notice: string) => context.err(`${notice}\n`);
  const result = await context.engine.generate(request, { onText, onNotice, signal: context.signal });
  if (isJson) context.out(`${JSON.stringify(result)}\n`);
  else {
    context.out('\n');
    context.err(`${result.tokens} tokens, ${(result.tokens / result.seconds).toFixed(1)} a second\n`);
  }
}

async function readRequest(
  promptArgument: string | undefined,
  values: GenerateValues,
  context: CliContext,
): Promise<GenerateRequest> {
  const settings = readAnswerFlags(values);
  if (values.model === undefined)
    throw new UsageError({ message: '--model must be given.', hint: 'lapidary generate --help shows all options.' });
  if (values.best && values.adapter === undefined)
    throw new UsageError({ message: '--best needs --adapter.', hint: "--adapter names a run's folder then." });
  const prompt =
    promptArgument === undefined || promptArgument === '-'
      ? (await context.readInput()).replace(/\n$/, '')
      : promptArgument;
  if (prompt === '')
    throw new UsageError({
      message: 'The prompt is empty.',
      hint: "Give it as an argument, or pipe it in: echo 'Hello' | lapidary generate --model …",
    });
  return {
    model: values.model,
    adapter: values.adapter ?? null,
    best: values.best === true,
    prompt,
    images: values.image ?? [],
    chat: await choosePromptForm(values, context),
    ...settings,
  };
}

/** Whether the prompt goes into the chat template: as the flags say, else as the adapter was trained, which is told; else as the model came. */
async function choosePromptForm({ raw, chat, adapter }: GenerateValues, context: CliContext): Promise<boolean | null> {
  if (raw && chat)
    throw new UsageError({
      message: 'Give one of --raw and --chat.',
      hint: 'lapidary generate --help shows all options.',
    });
  if (raw || chat) return raw !== true;
  if (adapter === undefined) return null;
  const rowsForm = await readRowsForm(adapter, context);
  const form = rowsForm && rowsForms[rowsForm];
  const trained = form
    ? `The adapter was trained on ${form.rows}`
    : `There is no ${runFile} beside the adapter, so what it was trained on is not known`;
  const used = !form
    ? 'the prompt goes into the chat template if the model came with one (--chat, --raw)'
    : form.isChat
      ? 'the prompt goes into the chat template (--raw continues it as it stands)'
      : 'the prompt is continued as it stands (--chat puts it into the chat template)';
  context.err(`${trained}: ${used}.\n`);
  return form?.isChat ?? null;
}
