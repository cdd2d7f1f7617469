import { parseJson, type ChatTemplateKwargs } from '@lapidary/gemma';
import { UsageError } from '../usage-error.js';

/** What `--chat-template-kwargs` holds. @throws UsageError for what is no JSON object */
export function readTemplateKwargs(text: string | undefined): ChatTemplateKwargs | undefined {
  if (text === undefined) return undefined;
  let value: unknown;
  try {
    value = parseJson(text);
  } catch {
    value = undefined;
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value };
  throw new UsageError({
    message: `--chat-template-kwargs ${text} is no JSON object.`,
    hint: `It says what the chat template takes beside messages, such as '{"enable_thinking": true}'.`,
  });
}
