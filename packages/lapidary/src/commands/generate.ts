import { ConfigError, describeValue, type ConfigProblem } from '@lapidary/trainer';
import type { CliContext } from '../cli-context.js';
import type { GenerateRequest } from '../engine.js';
import { UsageError } from '../usage-error.js';

export interface GenerateValues {
  readonly model?: string;
  readonly adapter?: string;
  readonly maxTokens?: string;
  readonly temperature?: string;
  readonly topK?: string;
  readonly topP?: string;
  readonly stop?: readonly string[];
  readonly seed?: string;
  readonly raw?: boolean;
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
  const result = await context.engine.generate(request, { onText, signal: context.signal });
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
  const problems: ConfigProblem[] = [];
  const number = (
    flag: string,
    text: string | undefined,
    isAllowed: (value: number) => boolean,
    allowed: string,
  ): number | null => {
    if (text === undefined) return null;
    const value = text.trim() === '' ? NaN : Number(text);
    if (Number.isFinite(value) && isAllowed(value)) return value;
    problems.push({ path: flag, found: describeValue(text), allowed });
    return null;
  };
  const isCount = (value: number) => Number.isSafeInteger(value) && value >= 1;
  const maxTokens = number('--max-tokens', values.maxTokens, isCount, 'a whole number, 1 or more') ?? 256;
  const temperature = number('--temperature', values.temperature, (value) => value >= 0, 'a number, 0 or more') ?? 0;
  const topK = number('--top-k', values.topK, isCount, 'a whole number, 1 or more');
  const topP = number('--top-p', values.topP, (value) => value > 0 && value <= 1, 'a number above 0, at most 1');
  const seed =
    number('--seed', values.seed, (value) => Number.isSafeInteger(value) && value >= 0, 'a whole number, 0 or more') ??
    42;
  if (problems.length > 0) throw new ConfigError({ problems, subject: 'The command' });
  if (values.model === undefined)
    throw new UsageError({ message: '--model must be given.', hint: 'lapidary generate --help shows all options.' });
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
    prompt,
    chat: values.raw !== true,
    maxTokens,
    temperature,
    topK,
    topP,
    stop: values.stop ?? [],
    seed,
  };
}
