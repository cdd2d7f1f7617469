import type { DataOptions } from './data-options.js';
import { DatasetError } from './errors.js';

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
