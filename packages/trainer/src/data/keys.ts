import type { DataOptions } from './data-options.js';
import { DatasetError } from './errors.js';

/** What a row calls what the chat template takes beside its messages, as in TRL. */
const kwargsField = 'chat_template_kwargs';

/** A row with its prompt and its completion under our names. @throws DatasetError for a row without a key that is named */
export function withOurKeys(
  value: unknown,
  { promptKey, completionKey }: Pick<DataOptions, 'promptKey' | 'completionKey'>,
  file: string,
  line: number,
): unknown {
  // What is no object is refused by who makes a row of it.
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  const renamed = new Map(Object.entries(value));
  const take = (key: string | undefined, option: string): unknown => {
    if (key === undefined) return undefined;
    if (!renamed.has(key))
      throw new DatasetError({
        file,
        line,
        message: `this row has no '${key}', which \`${option}\` names; it has: ${Object.keys(value).slice(0, 20).join(', ') || 'nothing'}`,
      });
    const taken = renamed.get(key);
    renamed.delete(key);
    return taken;
  };
  const prompt = take(promptKey, 'data.promptKey');
  const completion = take(completionKey, 'data.completionKey');
  if (promptKey !== undefined) renamed.set('prompt', prompt);
  if (completionKey !== undefined) renamed.set('completion', completion);
  return promptKey === undefined && completionKey === undefined ? value : Object.fromEntries(renamed);
}

/** A row with what the chat template takes beside its messages, as those of all rows have it; its own come before. */
export function withTemplateKwargs(
  value: unknown,
  { chatTemplateKwargs }: Pick<DataOptions, 'chatTemplateKwargs'>,
): unknown {
  if (chatTemplateKwargs === undefined || typeof value !== 'object' || value === null || Array.isArray(value))
    return value;
  const { [kwargsField]: own } = value as { readonly [kwargsField]?: unknown };
  if (own === undefined || own === null) return { ...value, [kwargsField]: chatTemplateKwargs };
  // What is no object is refused by who makes a row of it.
  if (typeof own !== 'object' || Array.isArray(own)) return value;
  return { ...value, [kwargsField]: { ...chatTemplateKwargs, ...own } };
}
