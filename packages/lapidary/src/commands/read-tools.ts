import type { ChatTools } from '@lapidary/gemma';
import * as v from 'valibot';
import type { CliContext } from '../cli-context.js';
import { UsageError } from '../usage-error.js';

const tools = v.pipe(
  v.array(
    v.looseObject({
      type: v.optional(v.string()),
      function: v.looseObject({ name: v.pipe(v.string(), v.nonEmpty()) }),
    }),
  ),
  v.minLength(1),
);

/** The functions in a file that `--tools` names. @throws UsageError for what is no list of functions */
export async function readTools(file: string | undefined, context: CliContext): Promise<ChatTools | undefined> {
  if (file === undefined) return undefined;
  const fail = (problem: string): never => {
    throw new UsageError({
      message: `--tools ${file} ${problem}.`,
      hint: 'The file holds a JSON list of functions as in OpenAI\'s API: [{"type": "function", "function": {"name": "…", "parameters": {…}}}].',
    });
  };
  let value: unknown;
  try {
    value = JSON.parse(await context.readFile(file));
  } catch (error) {
    return fail(`cannot be read: ${(error as Error).message}`);
  }
  const result = v.safeParse(tools, value);
  if (result.success) return result.output;
  const place = v.getDotPath(result.issues[0]);
  return fail(`holds no functions${place === null ? '' : ` (at ${place})`}: ${result.issues[0].message}`);
}
