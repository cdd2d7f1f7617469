/** A prompt whose pictures do not fit the model: some where it sees none, none where it needs one, or in the wrong place. */
export class PromptImagesError extends Error {
  override readonly name = 'PromptImagesError';
}
