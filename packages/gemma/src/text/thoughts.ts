// What a model thinks before it answers stands between marks: in prompts, in answers, and in conversations that are learned.

/** Begins a channel; its name and a line end follow. */
export const channelStart = '<|channel>';
/** Begins a thought. */
export const thoughtStart = `${channelStart}thought\n`;
export const thoughtEnd = '<channel|>';

/** Whether an answer to the prompt begins within a thought. */
export const opensThought = (prompt: string): boolean => prompt.endsWith(thoughtStart);

/** A prompt without the thought that it opens for the model, or without the empty one that it ends with, so that the model does not think. */
export function withoutOpenThought(prompt: string): string {
  const at = prompt.lastIndexOf(thoughtStart);
  const isOpen = at >= 0 && ['', thoughtEnd].includes(prompt.slice(at + thoughtStart.length));
  return isOpen ? prompt.slice(0, at) : prompt;
}
