import type { Model, WeightFormat } from '@lapidary/gemma';
import {
  bindCompletion,
  DatasetError,
  parseRow,
  type CompletionExample,
  type CompletionTask,
  type EncodeContext,
  type Example,
  type Row,
  type RowSource,
  type RunData,
  type TextualRow,
} from '@lapidary/trainer';

/** A question with answers to choose from. */
export interface ChoiceRow extends Row {
  readonly prompt: string;
  readonly choices: readonly string[];
  /** Index of the right choice. */
  readonly answer: number;
  /** One for each choice, as rows of training. */
  readonly options: readonly TextualRow[];
}

export type EvalRow = ChoiceRow | TextualRow;

/** A row as it is evaluated: a text that is to be likely, or one choice of a question. */
export interface EvalExample extends Example {
  readonly example: CompletionExample;
  readonly choice: { readonly row: ChoiceRow; readonly index: number } | null;
}

/** A row of training, or {prompt, choices, answer}. @throws DatasetError naming line and field */
export function parseEvalRow(value: unknown, file: string, line: number): EvalRow {
  if (typeof value !== 'object' || value === null || !('choices' in value)) return parseRow(value, file, line);
  const fail = (message: string): never => {
    throw new DatasetError({ file, line, message });
  };
  const { prompt, choices, answer, ...others } = value as Record<string, unknown>;
  const isText = (text: unknown): text is string => typeof text === 'string' && text !== '';
  if (typeof prompt !== 'string') return fail("field 'prompt': a row with choices needs a text as its prompt");
  if (!Array.isArray(choices) || choices.length < 2 || !choices.every(isText))
    return fail("field 'choices': must be a list of at least 2 texts, none of them empty");
  if (new Set(choices).size < choices.length) fail("field 'choices': two of them are the same");
  const right = typeof answer === 'string' ? choices.indexOf(answer) : answer;
  if (!Number.isSafeInteger(right) || (right as number) < 0 || (right as number) >= choices.length)
    return fail(
      `field 'answer': must be one of the choices, or its index (0 to ${choices.length - 1}); it is ${JSON.stringify(answer)?.slice(0, 60)}`,
    );
  const options = choices.map((completion) => parseRow({ ...others, prompt, completion }, file, line));
  return { line, prompt, choices, answer: right as number, options };
}

const isChoice = (row: EvalRow): row is ChoiceRow => 'choices' in row;

/** The task that rows are encoded and batched by: as training does it. */
export function evalTask(model: Model, weightFormat: WeightFormat, batchSize: number): CompletionTask {
  const maxLength = model.maxPositionEmbeddings;
  return bindCompletion(model, {
    settings: { labelSmoothing: 0 },
    limits: { maxLength, batchSize, packing: false, seed: 0, sampleCount: 0, sampleTokens: 0, imagePreset: null },
    weightFormat,
  });
}

/** Rows as examples: one of a text, one of each choice. @throws DatasetError naming file and line */
export async function encodeEvalRows(
  task: CompletionTask,
  { rows, file, options }: RowSource<EvalRow>,
  context: EncodeContext,
): Promise<RunData<EvalExample>> {
  const from = rows.flatMap((row): { row: TextualRow; choice: EvalExample['choice'] }[] =>
    isChoice(row)
      ? row.options.map((option, index) => ({ row: option, choice: { row, index } }))
      : [{ row, choice: null }],
  );
  const source = { rows: from.map(({ row }) => row), file, options };
  const { train, notices } = await task.encode(source, { ...source, rows: [] }, context);
  const examples = train.map((example, i): EvalExample => {
    const { choice } = from[i]!;
    const { row, length, patches } = example;
    return { row, length, patches, choice, example: choice ? withoutEnd(example) : example };
  });
  return { train: examples, held: [], notices };
}

/** What is chosen is the text, not that it ends there: "4" must not lose to "42" for that. */
function withoutEnd(example: CompletionExample): CompletionExample {
  const lossMask = example.lossMask.slice();
  lossMask[lossMask.length - 1] = 0;
  return { ...example, lossMask };
}
