import type { PromptForm } from '../family.js';
import { gemmaPrompt } from '../gemma/prompt.js';

/** A text is gone on with as it stands. Conversations are written as the files of a model say: sizes have templates of their own. */
export const gemma4Prompt: PromptForm = {
  ...gemmaPrompt,
  chatTemplate: null,
  chatTemplateSource: null,
  stopTokens: (tokenizer) => ['<turn|>', '<|tool_response>'].flatMap((token) => tokenizer.tokenId(token) ?? []),
};
