/** Texts are asked to become vectors in a way that the model has not. */
export class EmbeddingError extends Error {
  override readonly name = 'EmbeddingError';
}

/**
 * What stands before a text: one of a model's prompts by its name, or `given` as it stands, which then has a space in it (as
 * `search_query: ` has), or is empty.
 * @throws EmbeddingError for a word that is no prompt's name
 */
export function promptOf(prompts: Readonly<Record<string, string>>, given: string): string {
  if (Object.hasOwn(prompts, given)) return prompts[given]!;
  if (given === '' || /\s/.test(given)) return given;
  const names = Object.keys(prompts).join(', ') || 'none';
  throw new EmbeddingError(
    `no prompt of the model is called '${given}'; there are ${names}. A text to stand before others has a space in it, such as 'query: '`,
  );
}
