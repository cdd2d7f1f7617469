import { showValue } from '@lapidary/gemma';
import type { DataOptions } from '../../data/data-options.js';
import { DatasetError } from '../../data/errors.js';
import { parseRow, type TextualRow } from '../completion/rows.js';

/**
 * A prompt with two answers to it: the row of completions that the chosen one makes, and beside it what the rejected one has in its place
 * (`completion`, or `messages` with the prompt's before them).
 */
export type PreferenceRow = TextualRow & { readonly rejected: Rejected };

type Rejected = { readonly completion: string } | Pick<Extract<TextualRow, { messages: unknown }>, 'messages'>;

const example =
  '{"prompt": "…", "chosen": "…", "rejected": "…"}, with texts or lists of messages; or lists of messages that begin alike without "prompt"';

/** The row that the rejected answer makes. */
export function rejectedRow({ rejected, ...row }: PreferenceRow): TextualRow {
  return { ...row, ...rejected } as TextualRow;
}

/** What a value is as a row of preferences, in TRL's forms. @throws DatasetError naming file, line and field */
export function parsePreferenceRow(
  value: unknown,
  file: string,
  line: number,
  format: DataOptions['format'] = 'auto',
): PreferenceRow {
  const fail = (message: string): never => {
    throw new DatasetError({ file, line, message });
  };
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return fail(`a row must be an object such as ${example}, not ${showValue(value, 40)}`);
  const { chosen, rejected, ...rest } = value as Record<string, unknown>;
  const missing = Object.entries({ chosen, rejected }).flatMap(([field, found]) => (found == null ? [field] : []));
  if (missing.length > 0)
    return fail(
      `a row of preferences needs ${missing.map((field) => `'${field}'`).join(' and ')}: ${example}; this one has: ${Object.keys(value).join(', ') || 'nothing'}`,
    );
  if (['completion', 'messages', 'suffix', 'text'].some((field) => field in rest))
    return fail(`a row of preferences has its answers in 'chosen' and 'rejected' alone: ${example}`);
  const isText = [chosen, rejected].map((answer) => typeof answer === 'string');
  const isList = [chosen, rejected].map((answer) => Array.isArray(answer) && answer.length > 0);
  for (const [i, field] of ['chosen', 'rejected'].entries())
    if (!isText[i] && !isList[i]) fail(`field '${field}': must be a text or a list of messages`);
  if (isText[0] !== isText[1]) fail("'chosen' and 'rejected' must both be texts, or both lists of messages");
  const given = 'prompt' in rest || 'prefix' in rest ? rest : withoutCommonStart(rest, chosen, rejected, fail);
  if (isList[0] && !Array.isArray(given['prompt']))
    fail("field 'prompt': must be a list of messages, as the answers are");
  const count = 'prompt' in rest || 'prefix' in rest ? 0 : (given['prompt'] as readonly unknown[]).length;
  const parse = (field: string, answer: unknown): TextualRow => {
    const completion = Array.isArray(answer) ? answer.slice(count) : answer;
    try {
      return parseRow({ ...given, completion }, file, line, format);
    } catch (error) {
      if (!(error instanceof DatasetError)) throw error;
      return fail(`${error.message.slice(error.message.indexOf(': ') + 2)} (of the row with '${field}')`);
    }
  };
  const [row, other] = [parse('chosen', chosen), parse('rejected', rejected)];
  if ('completion' in other) return { ...row, rejected: { completion: other.completion } };
  if ('messages' in other) return { ...row, rejected: { messages: other.messages } };
  return fail(`'data.format' is '${format}', but rows of preferences are conversations or completions`);
}

/** Messages that both answers begin with are the prompt. */
function withoutCommonStart(
  rest: Readonly<Record<string, unknown>>,
  chosen: unknown,
  rejected: unknown,
  fail: (message: string) => never,
): Readonly<Record<string, unknown>> {
  if (!Array.isArray(chosen) || !Array.isArray(rejected))
    return fail(`a row of preferences with texts needs a 'prompt': ${example}`);
  const same = (i: number) => JSON.stringify(chosen[i]) === JSON.stringify(rejected[i]);
  const most = Math.min(chosen.length, rejected.length) - 1;
  let count = 0;
  while (count < most && same(count)) count++;
  if (count === 0)
    return fail(
      "'chosen' and 'rejected' do not begin with the same message: that is the prompt where there is no 'prompt'",
    );
  return { ...rest, prompt: chosen.slice(0, count) };
}
